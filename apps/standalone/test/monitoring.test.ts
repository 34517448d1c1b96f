import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  findPromtool,
  type Promtool,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { parse } from "yaml";
import { z } from "zod";

// The rules of deploy/prometheus and the dashboard of deploy/grafana, held to Prometheus' own tool and to what an API and a
// worker really tell.

const project = join(import.meta.dirname, "../../..");
const pathOf = (name: string): string => join(project, "deploy", name);
const textOf = (name: string): string => readFileSync(pathOf(name), "utf8");

const ruleSchema = z.object({
  alert: z.string(),
  expr: z.string(),
  annotations: z.record(z.string(), z.string()),
});
const { groups } = z
  .object({ groups: z.array(z.object({ rules: z.array(ruleSchema) })) })
  .parse(parse(textOf("prometheus/alerts.yml")));
const rules = groups.flatMap((group) => group.rules);

const { tests: ruleTests } = z
  .object({
    tests: z.array(
      z.object({
        alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })),
      }),
    ),
  })
  .parse(parse(textOf("prometheus/alerts.test.yml")));

const panelSchema = z.object({
  id: z.number(),
  title: z.string(),
  type: z.string(),
  targets: z.array(z.object({ expr: z.string() })).default([]),
});
const { panels } = z
  .object({ uid: z.literal("genga"), panels: z.array(panelSchema) })
  .parse(JSON.parse(textOf("grafana/genga.json")));
const queries = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));

const promtool = await findPromtool();
const why = "reason" in promtool ? ` (skipped: ${promtool.reason})` : "";
const isThere = !("reason" in promtool);
const run: Promtool["run"] = (args) => {
  if ("reason" in promtool) throw new Error(promtool.reason);
  return promtool.run(args);
};

describe("Prometheus' own tool", () => {
  const withPromtool = isThere ? test : test.skip;

  withPromtool(`finds the scrape configuration and the rules well-formed${why}`, async () => {
    const config = await run(["check", "config", "--syntax-only", pathOf("prometheus/prometheus.yml")]);
    expect(config).toMatchObject({ succeeded: true });
    expect(await run(["check", "rules", pathOf("prometheus/alerts.yml")])).toMatchObject({
      succeeded: true,
    });
  });

  withPromtool(`sees each alert fire, and stay silent when it should${why}`, async () => {
    expect(await run(["test", "rules", pathOf("prometheus/alerts.test.yml")])).toMatchObject({
      succeeded: true,
    });
  });

  withPromtool(`can read every query of the dashboard${why}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "genga-dashboard-"));
    try {
      const recorded = queries.map(({ expr }, index) => ({
        record: `dashboard:query_${index}`,
        expr: expr.replaceAll("$__rate_interval", "5m"),
      }));
      const file = join(folder, "queries.yml");
      // JSON is YAML.
      await writeFile(file, JSON.stringify({ groups: [{ name: "dashboard", rules: recorded }] }));
      expect(await run(["check", "rules", file])).toMatchObject({ succeeded: true });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test("each alert has a test in which it fires and one in which it does not, and a place in the operator's guide", () => {
  const names = rules.map(({ alert }) => alert).toSorted();
  const cases = ruleTests.flatMap(({ alert_rule_test }) => alert_rule_test);
  const tested = (fires: boolean): string[] => [
    ...new Set(
      cases.filter(({ exp_alerts }) => exp_alerts.length > 0 === fires).map(({ alertname }) => alertname),
    ),
  ];
  expect(tested(true).toSorted()).toEqual(names);
  expect(tested(false).toSorted()).toEqual(names);
  const guide = readFileSync(join(project, "docs/operations.md"), "utf8");
  expect(names.filter((name) => !guide.includes(`| \`${name}\` `))).toEqual([]);
  expect(rules.filter(({ alert, annotations }) => !annotations["runbook"]?.endsWith(alert))).toEqual([]);
});

test("the panels of the dashboard have ids of their own, and each has a query", () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(panels.filter(({ type, targets }) => (type === "row") === targets.length > 0)).toEqual([]);
});

describe("an API and a worker", () => {
  let database: TestDatabase;
  let stack: Stack;
  /** By name; the labels of the series that there are. */
  const known = new Map<string, Set<string>>();

  beforeAll(async () => {
    database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
    stack = await startStack({ databaseUrl: database.url });
    const api = new ApiClient(stack.url);
    const workflow = sleepWorkflow(0.01);
    await api.untilEnded(await api.submit({ type: "workflow", workflow }));
    const cancelled = await api.submit({ type: "workflow", workflow: sleepWorkflow(30) });
    await api.cancel(cancelled);
    await api.untilEnded(cancelled);
    await api.request("POST", "generate", { type: "image" }).catch(() => undefined);
    const health = String(stack.workers[0]!.details["health"]);
    for (const url of [new URL("/metrics", stack.url), new URL("/metrics", health)])
      note(await (await fetch(url)).text());
  }, 180_000);

  afterAll(async () => {
    await stack.stop();
    await database.drop();
  }, 180_000);

  function note(text: string): void {
    for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      for (const suffix of suffixes)
        known.set(`${name!}${suffix}`, known.get(`${name!}${suffix}`) ?? new Set());
    }
    for (const [, name, labels] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm))
      for (const [, label] of labels!.matchAll(/(\w+)="/g)) known.get(name!)?.add(label!);
  }

  /** Labels and metrics that Prometheus itself adds. */
  const added = ["instance", "job"];

  /** The selectors of a query: names of metrics, with the labels that are asked for. */
  function selectorsOf(expr: string): { name: string; labels: string[] }[] {
    return [...expr.matchAll(/\b((?:genga|nodejs|process)_\w+)(?:\{([^}]*)\})?/g)].map(
      ([, name, labels = ""]) => ({
        name: name!,
        labels: [...labels.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label!),
      }),
    );
  }

  const asked = [
    ...rules.map(({ alert, expr }) => ({ where: `alert ${alert}`, expr })),
    ...queries.map(({ title, expr }) => ({ where: `panel ${title}`, expr })),
  ];

  test("tell every metric that the rules and the dashboard ask for, with the labels that they ask for", () => {
    const missing = asked.flatMap(({ where, expr }) =>
      selectorsOf(expr).flatMap(({ name, labels }) => {
        const series = known.get(name);
        if (series === undefined) return [`${where}: ${name}`];
        // A counter without an event has no series yet.
        if (series.size === 0) return [];
        return labels
          .filter((label) => !series.has(label) && !added.includes(label))
          .map((label) => `${where}: ${name}{${label}}`);
      }),
    );
    expect(missing).toEqual([]);
    expect(asked.every(({ expr }) => selectorsOf(expr).length > 0 || /\bup\{/.test(expr))).toBe(true);
  });

  test("tell nothing that the operator's guide does not describe", () => {
    const guide = readFileSync(join(project, "docs/operations.md"), "utf8");
    const named = [...known.keys()]
      .filter((name) => name.startsWith("genga_"))
      .map((name) => name.replace(/_(?:bucket|sum|count)$/, ""));
    expect([...new Set(named)].filter((name) => !guide.includes(`\`${name}`))).toEqual([]);
  });
});
