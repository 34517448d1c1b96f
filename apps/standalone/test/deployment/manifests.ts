import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPythonTool, type PythonTool } from "@genga/testing";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";

export const project = join(import.meta.dirname, "../../../..");
export const kubernetes = join(project, "deploy/kubernetes");

/** The folders that have a kustomization. */
export const kustomizations = readdirSync(kubernetes, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("kustomization.yaml"))
  .map((file) => file.replace(/\/?kustomization\.yaml$/, ""))
  .toSorted();

const labels = z.record(z.string(), z.string());
const resourceSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: labels.default({}) }),
});
export type Resource = z.infer<typeof resourceSchema>;

const namedPort = z.looseObject({ name: z.string(), containerPort: z.number() });
const reference = z.looseObject({ name: z.string(), key: z.string(), optional: z.boolean().default(false) });
const containerSchema = z.looseObject({
  name: z.string(),
  image: z.string(),
  restartPolicy: z.string().optional(),
  command: z.array(z.string()).optional(),
  envFrom: z.array(z.object({ configMapRef: z.object({ name: z.string() }) })).default([]),
  env: z
    .array(
      z.looseObject({
        name: z.string(),
        value: z.string().optional(),
        valueFrom: z.looseObject({ secretKeyRef: reference.optional() }).optional(),
      }),
    )
    .default([]),
  ports: z.array(namedPort).default([]),
  lifecycle: z.object({ preStop: z.object({ exec: z.object({ command: z.array(z.string()) }) }) }).optional(),
  resources: z.object({
    requests: z.object({
      cpu: z.string(),
      memory: z.string(),
      "ephemeral-storage": z.string().optional(),
    }),
    limits: z.looseObject({ memory: z.string() }),
  }),
  securityContext: z.unknown(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
});
export type Container = z.infer<typeof containerSchema>;

/** A Deployment or StatefulSet, as far as the tests look at it. */
export const workloadSchema = resourceSchema.extend({
  spec: z.looseObject({
    serviceName: z.string().optional(),
    selector: z.object({ matchLabels: labels }),
    template: z.object({
      metadata: z.object({ labels }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.boolean(),
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.looseObject({}),
        initContainers: z.array(containerSchema).default([]),
        containers: z.array(containerSchema),
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            configMap: z.object({ name: z.string() }).optional(),
            emptyDir: z.object({ sizeLimit: z.string() }).optional(),
            persistentVolumeClaim: z.looseObject({ claimName: z.string() }).optional(),
          }),
        ),
      }),
    }),
  }),
});
export type Workload = z.infer<typeof workloadSchema>;
export const containersOf = ({ spec }: Workload): Container[] => [
  ...spec.template.spec.initContainers,
  ...spec.template.spec.containers,
];

/** The query by which KEDA counts a pool's work. */
export const scaledObjectSchema = resourceSchema.extend({
  spec: z.looseObject({
    scaleTargetRef: z.looseObject({ kind: z.string(), name: z.string() }),
    triggers: z.tuple([z.looseObject({ metadata: z.looseObject({ query: z.string() }) })]),
  }),
});

/** The fields of a ScaledObject that the manifests use, as KEDA spells them. */
export const knownFields = z.strictObject({
  scaleTargetRef: z.strictObject({ apiVersion: z.string(), kind: z.string(), name: z.string() }),
  pollingInterval: z.number(),
  minReplicaCount: z.number(),
  maxReplicaCount: z.number(),
  advanced: z.strictObject({
    horizontalPodAutoscalerConfig: z.strictObject({
      behavior: z.strictObject({ scaleUp: z.looseObject({}), scaleDown: z.looseObject({}) }),
    }),
  }),
  triggers: z.tuple([
    z.strictObject({
      type: z.literal("postgresql"),
      metricType: z.literal("AverageValue"),
      metadata: z.strictObject({ query: z.string(), targetQueryValue: z.string() }),
      authenticationRef: z.strictObject({ name: z.literal("genga-scaler") }),
    }),
  ]),
});

const matchLabels = z.record(z.string(), z.string()).default({});
export const serviceSchema = z.looseObject({
  spec: z.looseObject({
    clusterIP: z.string().optional(),
    publishNotReadyAddresses: z.boolean().optional(),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.looseObject({ targetPort: z.string() })),
  }),
});
export const budgetSchema = z.looseObject({ spec: z.looseObject({ selector: z.object({ matchLabels }) }) });
export const policySchema = z.looseObject({
  spec: z.looseObject({
    podSelector: z.object({ matchLabels }),
    policyTypes: z.array(z.string()),
    ingress: z
      .array(z.object({ from: z.array(z.unknown()), ports: z.array(z.looseObject({ port: z.number() })) }))
      .default([]),
  }),
});

/** As the file has it, without kustomize. */
export const readManifest = (file: string): unknown => parse(readFileSync(join(kubernetes, file), "utf8"));

/** kubectl, of which `kubectl kustomize` is used: it needs no cluster. */
export const findKubectl = (): ReturnType<typeof findPythonTool> =>
  findPythonTool({ name: "kubectl", requirements: join(import.meta.dirname, "tools/kubectl.txt") });

/** What kustomize makes of a folder, as text and read. */
export async function render(
  kubectl: PythonTool,
  folder: string,
): Promise<{ text: string; resources: Resource[] }> {
  const temporary = await mkdtemp(join(tmpdir(), "genga-kustomize-"));
  try {
    const output = join(temporary, "rendered.yaml");
    const { code, said } = await kubectl.run(["kustomize", join(kubernetes, folder), "--output", output]);
    // Warnings, such as those of deprecated fields, count.
    if (code !== 0 || said !== "") throw new Error(`kubectl kustomize ${folder}: ${said}`);
    const text = await readFile(output, "utf8");
    const resources = parseAllDocuments(text).map((document) => resourceSchema.parse(document.toJS()));
    return { text, resources };
  } finally {
    await rm(temporary, { recursive: true });
  }
}
