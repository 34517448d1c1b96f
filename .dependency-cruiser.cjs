/** The arrows of ARCHITECTURE.md, enforced.
 * @type {import("dependency-cruiser").IConfiguration} */
const mayImport = {
  "packages/jobs": [],
  "packages/comfyui": [],
  "packages/comfyui-recordings": [],
  "packages/runtime": [],
  "packages/workflows": ["packages/jobs", "packages/comfyui"],
  "packages/database": ["packages/jobs"],
  "packages/queue": ["packages/jobs"],
  "packages/storage": ["packages/jobs"],
  "packages/comfyui-templates": ["packages/comfyui"],
  "packages/comfyui-simulator": ["packages/comfyui-recordings"],
  "packages/embedded": ["packages/runtime"],
  "packages/testing": ["packages/jobs", "packages/comfyui"],
  "apps/api": [
    "packages/jobs",
    "packages/comfyui",
    "packages/workflows",
    "packages/database",
    "packages/queue",
    "packages/storage",
    "packages/runtime",
  ],
  "apps/worker": [
    "packages/jobs",
    "packages/comfyui",
    "packages/workflows",
    "packages/database",
    "packages/queue",
    "packages/storage",
    "packages/runtime",
  ],
  "apps/standalone": [
    "packages/embedded",
    "packages/comfyui-simulator",
    "packages/runtime",
    "packages/jobs",
    "packages/database",
  ],
};

/** The folders of a package, and which of them each may import. A folder that is not named here imports nothing of its package. */
const foldersMayImport = {
  "apps/api": {
    http: ["servers"],
    servers: [],
    access: ["http"],
    submissions: ["http"],
    jobs: ["access", "http", "servers"],
    documentation: ["access", "http", "jobs", "routes", "submissions"],
    routes: ["access", "documentation", "http", "jobs", "servers", "submissions", "dependencies.ts"],
  },
  "apps/worker": {
    timing: [],
    sweeping: ["servers", "timing", "dependencies.ts"],
    servers: ["job", "timing"],
    job: ["servers", "timing"],
    tickets: ["servers", "timing"],
  },
  "apps/standalone": { services: [], demo: ["services"], keys: [], testing: [] },
  "packages/jobs": {
    job: [],
    ports: ["job"],
    secrets: ["job", "ports"],
    running: ["job", "ports"],
    requests: ["job", "ports", "running", "secrets"],
  },
  "packages/comfyui": {
    json: [],
    graph: ["json"],
    classes: ["graph"],
    checking: ["classes", "graph", "json"],
    wire: ["classes", "graph", "json"],
    watching: ["graph", "wire"],
    definitions: ["checking", "classes", "graph", "wire"],
  },
  "packages/workflows": {
    definitions: [],
    parameters: [],
    uploads: ["parameters"],
    building: ["parameters"],
    judging: ["building", "parameters", "uploads"],
  },
  "packages/database": {
    connection: ["generated"],
    migrations: ["connection"],
    tenants: ["connection", "generated"],
    uploads: ["connection", "generated"],
    servers: ["connection", "generated", "tenants"],
    keeping: ["connection", "generated", "tenants"],
    jobs: ["connection", "generated", "keeping", "servers"],
  },
  "packages/queue": { redis: [], tickets: ["redis"], signals: ["redis"], admissions: ["redis"] },
  "packages/embedded": { process: [], postgres: ["process"], redis: ["process"] },
};

module.exports = {
  forbidden: [
    {
      name: "no-circular",
      comment: "Types may name each other; what runs may not.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "front-door-only",
      comment: "Enter a package by its index.ts, or by definitions.ts where a thread needs little of it.",
      severity: "error",
      from: { path: "^(apps|packages)/([^/]+)/" },
      to: { path: "^packages/[^/]+/src/(?!(index|definitions)\\.ts$)", pathNot: "^$1/$2/" },
    },
    {
      name: "routes-never-touch-database",
      severity: "error",
      from: { path: "^apps/api/src/routes" },
      to: { path: "^packages/database" },
    },
    {
      name: "only-queue-knows-bullmq",
      severity: "error",
      from: { path: "^(apps|packages)/[^/]+/src", pathNot: "^packages/queue" },
      to: { path: "node_modules/(bullmq|ioredis)" },
    },
    {
      name: "only-database-knows-prisma",
      severity: "error",
      from: { path: "^(apps|packages)/[^/]+/src", pathNot: "^packages/database" },
      to: { path: "node_modules/(@prisma|prisma)" },
    },
    ...Object.entries(mayImport).map(([from, allowed]) => ({
      name: `${from.replace("/", "-")}-arrows`,
      severity: "error",
      from: { path: `^${from}/src` },
      to: { path: "^(apps|packages)/", pathNot: `^(${[from, ...allowed].join("|")})/` },
    })),
    ...Object.entries(foldersMayImport).flatMap(([home, folders]) =>
      Object.entries(folders).map(([folder, allowed]) => ({
        name: `${home.replace("/", "-")}-${folder}-arrows`,
        severity: "error",
        from: { path: `^${home}/src/${folder}/`, pathNot: "[.]test[.]ts$" },
        to: { path: `^${home}/src/`, pathNot: `^${home}/src/(${[folder, ...allowed].join("|")})(/|$)` },
      })),
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules|dist" },
    exclude: { path: "packages/database/src/generated" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".js"],
    },
  },
};
