import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  // Addresses are relative to <base>, which the API sets: behind a proxy the page may have a path of its own.
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsDir: "assets",
    // What every view needs is one file; a view's own libraries are loaded with it.
    chunkSizeWarningLimit: 800,
    // The Content-Security-Policy allows pictures as data only, so fonts and scripts are files.
    assetsInlineLimit: 0,
    rolldownOptions: {
      onLog: (level, log, report) => {
        // "use client" of libraries means nothing without a server that renders pages.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") report(level, log);
      },
    },
  },
  clearScreen: false,
});
