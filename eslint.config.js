import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["**/dist/**", "**/dist-*/**", "**/generated/**", "**/*.cjs", ".genga/**"]),
  js.configs.recommended,
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    // Named projects, and not `projectService`, which is made for editors and takes half as much time again.
    languageOptions: { parserOptions: { project: ["tsconfig.json"], tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/naming-convention": [
        "error",
        // PascalCase: fields of S3's requests and names of the OpenAPI document, which become properties as they are.
        { selector: "variable", format: ["camelCase", "StrictPascalCase"] },
        { selector: "variable", modifiers: ["destructured"], format: null },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector:
            ":matches(PropertyDefinition, MethodDefinition[kind!='constructor'])[accessibility='private']",
          message: "Write #name: it is private also where types are not looked at.",
        },
        {
          selector: "ImportDeclaration[importKind='type'] > ImportSpecifier",
          message:
            "Write import { type Name }: one form for imports that mix types and values, and those that do not.",
        },
        {
          selector: "ExportNamedDeclaration[exportKind='type'] > ExportSpecifier",
          message: "Write export { type Name }.",
        },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      // typescript-eslint 8.73 recurses without end here when a type contains itself, as JSON values do.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
    },
  },
  {
    rules: {
      eqeqeq: "error",
      "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true } }],
    },
  },
  {
    // The door of a package is a list of names.
    files: ["packages/*/src/index.ts"],
    rules: { "max-lines": "off" },
  },
  {
    files: ["{apps,packages}/*/src/**/*.ts"],
    ignores: [
      "**/{main,*-main}.ts",
      "packages/runtime/src/run-service.ts",
      "packages/testing/src/**",
      "**/*.test.ts",
    ],
    rules: {
      "no-restricted-properties": [
        "error",
        {
          object: "process",
          property: "env",
          message: "Only main.ts and run-service.ts read the environment; take a Configuration.",
        },
        {
          object: "URL",
          property: "canParse",
          message: "Node 20 refuses texts with letters such as ü by it; take parseUrl of the runtime.",
        },
      ],
    },
  },
  {
    files: ["apps/dashboard/src/**/*.{ts,tsx}"],
    extends: [reactHooks.configs.flat["recommended-latest"]],
    languageOptions: { parserOptions: { project: ["apps/dashboard/tsconfig.json"] } },
    rules: {
      // Components are functions, and their names begin with a capital letter; types follow from what they return.
      "@typescript-eslint/naming-convention": "off",
      "@typescript-eslint/explicit-module-boundary-types": "off",
      // It takes a field that is only set by ??= for one that nobody reads.
      "no-unused-private-class-members": "off",
      "max-lines-per-function": ["error", { max: 100, skipBlankLines: true, skipComments: true }],
      // Handlers of events may be async; React does not wait for them.
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  { files: ["*.config.{js,ts}", "apps/*/*.config.ts"], rules: { "no-restricted-exports": "off" } },
  {
    files: ["**/*.mjs"],
    languageOptions: {
      globals: { process: "readonly", console: "readonly", URL: "readonly", Buffer: "readonly" },
    },
  },
  {
    files: ["**/test/**/*.ts", "**/*.test.ts", "**/*-contract.ts"],
    rules: {
      "max-lines-per-function": "off",
      "max-lines": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
