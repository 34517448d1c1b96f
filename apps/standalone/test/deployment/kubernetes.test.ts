import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readConfiguration } from "@genga/runtime";
import { findPythonTool } from "@genga/testing";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication";
import { z } from "zod";
import {
  budgetSchema,
  containersOf,
  findKubectl,
  kubernetes,
  knownFields,
  kustomizations,
  policySchema,
  project,
  render,
  type Resource,
  scaledObjectSchema,
  serviceSchema,
  type Workload,
  workloadSchema,
} from "./manifests.ts";
import { runCleaner } from "./run-cleaner.ts";

// The manifests of deploy/kubernetes: built by kustomize, held to the schemas of Kubernetes and KEDA, and to each other.

const kubectl = await findKubectl();
const validator = await findPythonTool({
  name: "kubernetes-validate",
  requirements: join(import.meta.dirname, "tools/kubernetes-validate.txt"),
  entry: "kubernetes_validate.__main__:main",
});
const missing = [kubectl, validator].flatMap((tool) => ("reason" in tool ? [tool.reason] : []));
const described = missing.length > 0 ? describe.skip : describe;

/** The oldest version whose pods have sidecars without a feature gate, and the newest that the validator knows. */
const versions = ["1.29", "1.37"];
/** Made by who installs Genga; docs/operations.md, Kubernetes, names each. */
const madeByOperators = ["genga-secrets", "genga-scaler", "comfyui-models", "genga-tls"];
/** What one server holds, and for how long, unless settings say otherwise. */
const { jobTimeoutsMs, serverSlots } = readConfiguration({});
const longest = { videoMs: jobTimeoutsMs.video, slots: serverSlots };
const guide = readFileSync(join(project, "docs/operations.md"), "utf8");
const furtherNetworks = readFileSync(join(kubernetes, "example/further-networks.yaml"), "utf8");

described(
  `the manifests for Kubernetes${missing.length > 0 ? ` (skipped: ${missing.join("; ")})` : ""}`,
  () => {
    const rendered = new Map<string, { text: string; resources: Resource[] }>();
    let folder: string;
    beforeAll(async () => {
      if ("reason" in kubectl) throw new Error(kubectl.reason);
      folder = await mkdtemp(join(tmpdir(), "genga-manifests-"));
      const all = await Promise.all(
        kustomizations.map(async (name) => [name, await render(kubectl, name)] as const),
      );
      for (const [name, result] of all) rendered.set(name, result);
    }, 180_000);
    afterAll(async () => {
      await rm(folder, { recursive: true, force: true });
    });

    const resources = (): Resource[] => rendered.get("example")!.resources;
    const ofKind = (kind: string): Resource[] => resources().filter((resource) => resource.kind === kind);
    const workloads = (): Workload[] =>
      [...ofKind("Deployment"), ...ofKind("StatefulSet")].map((resource) => workloadSchema.parse(resource));
    const names = (kind: string): string[] => ofKind(kind).map(({ metadata }) => metadata.name);

    /** What the schemas of a version of Kubernetes say about a file, a line for each resource. */
    async function validate(
      text: string,
      version: string,
    ): Promise<{ code: number | null; lines: string[] }> {
      if ("reason" in validator) throw new Error(validator.reason);
      const file = join(folder, `${version}.yaml`);
      await writeFile(file, text);
      const { code, said } = await validator.run(["--strict", "-k", version, file]);
      return { code, lines: said.trim().split("\n") };
    }

    test.each(versions)(
      "fit the schemas of Kubernetes %s, with no field that it does not know",
      async (version) => {
        const all = kustomizations.map((name) => rendered.get(name)!);
        const texts = [...all.map(({ text }) => text), furtherNetworks];
        const { code, lines } = await validate(texts.join("\n---\n"), version);
        const unknown = lines.filter((line) => !line.startsWith("INFO "));
        expect({ code, unknown: unknown.filter((line) => !line.includes("keda.sh/v1alpha1")) }).toEqual({
          code: 0,
          unknown: [],
        });
        const ofOthers = all.flatMap((each) => each.resources).filter(isOfKeda);
        expect(unknown).toHaveLength(ofOthers.length);
        expect(lines.length - unknown.length).toBe(
          all.flatMap((each) => each.resources).length + 3 - ofOthers.length,
        );
        const wrong = rendered.get("base")!.text.replace("replicas: 2", "replica: 2");
        expect((await validate(wrong, version)).lines.join("\n")).toContain("'replica' was unexpected");
      },
    );

    test("fit the schemas of KEDA", () => {
      const all = [...rendered.values()].flatMap((each) => each.resources).filter(isOfKeda);
      expect(new Set(all.map(({ kind }) => kind))).toEqual(
        new Set(["ScaledObject", "TriggerAuthentication"]),
      );
      for (const resource of all) {
        const Model = resource.kind === "ScaledObject" ? ScaledObject : TriggerAuthentication;
        new Model(resource as never).validate();
        // The schemas allow unknown fields.
        if (resource.kind === "ScaledObject") knownFields.parse(resource["spec"]);
      }
    });

    test("name nothing that does not exist", () => {
      const secrets = new Set<string>();
      for (const workload of workloads()) {
        const { spec } = workload.spec.template;
        expect(names("ServiceAccount")).toContain(spec.serviceAccountName);
        const volumes = spec.volumes.map(({ name }) => name);
        for (const { configMap, persistentVolumeClaim } of spec.volumes) {
          if (configMap) expect(names("ConfigMap")).toContain(configMap.name);
          if (persistentVolumeClaim) expect(madeByOperators).toContain(persistentVolumeClaim.claimName);
        }
        for (const { env, envFrom, volumeMounts } of containersOf(workload)) {
          for (const { configMapRef } of envFrom) expect(names("ConfigMap")).toContain(configMapRef.name);
          for (const { name } of volumeMounts) expect(volumes).toContain(name);
          for (const { valueFrom } of env) {
            if (valueFrom?.secretKeyRef) secrets.add(valueFrom.secretKeyRef.name);
          }
        }
        if (workload.spec.serviceName !== undefined)
          expect(names("Service")).toContain(workload.spec.serviceName);
      }
      expect([...secrets]).toEqual(["genga-secrets"]);
      expect(madeByOperators.filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
      for (const object of ofKind("ScaledObject")) {
        const { scaleTargetRef } = scaledObjectSchema.parse(object).spec;
        expect(names(scaleTargetRef.kind)).toContain(scaleTargetRef.name);
      }
    });

    test("select the pods that they mean, and ports that these have", () => {
      const pods = workloads().map((workload) => ({
        name: workload.metadata.name,
        labels: workload.spec.template.metadata.labels,
        ports: containersOf(workload).flatMap(({ ports }) => ports),
      }));
      const selected = (wanted: Record<string, string>): typeof pods =>
        pods.filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
      for (const { metadata, spec } of workloads())
        expect(selected(spec.selector.matchLabels).map(({ name }) => name)).toEqual([metadata.name]);
      for (const resource of ofKind("Service")) {
        const { spec } = serviceSchema.parse(resource);
        const [pod, ...others] = selected(spec.selector);
        expect({ service: resource.metadata.name, others }).toEqual({
          service: resource.metadata.name,
          others: [],
        });
        for (const { targetPort } of spec.ports)
          expect(pod!.ports.map(({ name }) => name)).toContain(targetPort);
      }
      for (const resource of ofKind("PodDisruptionBudget")) {
        const { spec } = budgetSchema.parse(resource);
        expect(selected(spec.selector.matchLabels)).toHaveLength(1);
      }
      for (const resource of ofKind("NetworkPolicy")) {
        const { spec } = policySchema.parse(resource);
        const found = selected(spec.podSelector.matchLabels);
        expect(found.length).toBeGreaterThan(0);
        const open = found.flatMap(({ ports }) => ports.map(({ containerPort }) => containerPort));
        for (const { port } of spec.ingress.flatMap(({ ports }) => ports)) expect(open).toContain(port);
      }
    });

    test("deny what no policy allows, and let no one reach a ComfyUI", () => {
      const policies = ofKind("NetworkPolicy").map((resource) => policySchema.parse(resource).spec);
      const everyPod = { "app.kubernetes.io/part-of": "genga" };
      expect(policies).toContainEqual({
        podSelector: { matchLabels: everyPod },
        policyTypes: ["Ingress", "Egress"],
        ingress: [],
      });
      for (const { spec } of workloads()) expect(spec.template.metadata.labels).toMatchObject(everyPod);
      expect(policies.flatMap(({ ingress }) => ingress).every(({ from }) => from.length > 0)).toBe(true);
      const ports = policies.flatMap(({ ingress }) => ingress.flatMap((rule) => rule.ports));
      expect(ports.map(({ port }) => port).toSorted()).toEqual([8328, 9464]);
    });

    test("run each container without privileges, within limits, and with settings that Genga has", () => {
      const settings = [
        ...readFileSync(join(project, ".env.example"), "utf8").matchAll(/^(?:# )?([A-Z_\d]+)=/gm),
      ].map(([, name]) => name!);
      const known = [...settings, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
      for (const resource of ofKind("ConfigMap").filter(({ metadata }) => metadata.name.startsWith("genga-")))
        for (const name of Object.keys(z.record(z.string(), z.string()).parse(resource["data"])))
          expect(known).toContain(name);
      for (const workload of workloads()) {
        const { spec } = workload.spec.template;
        expect(spec.automountServiceAccountToken).toBe(false);
        expect(spec.securityContext).toMatchObject({
          runAsNonRoot: true,
          seccompProfile: { type: "RuntimeDefault" },
        });
        for (const { name, command, env, securityContext } of containersOf(workload)) {
          expect(securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          });
          if (name === "comfyui" || name === "file-cleaner") continue;
          for (const each of env) expect(known).toContain(each.name);
          const [node, launch, entry] = command!;
          expect([node, launch]).toEqual(["node", "packages/runtime/src/launch/launch.mjs"]);
          expect(existsSync(join(project, entry!))).toBe(true);
        }
      }
    });

    test("let a worker's prompts end before its ComfyUI does", () => {
      for (const workload of workloads().filter(({ kind }) => kind === "StatefulSet")) {
        const { initContainers, containers, terminationGracePeriodSeconds } = workload.spec.template.spec;
        // A sidecar ends after all others; another container would end at once.
        expect(
          Object.fromEntries(initContainers.map(({ name, restartPolicy }) => [name, restartPolicy])),
        ).toEqual({ comfyui: "Always", "file-cleaner": "Always" });
        const [worker] = containers;
        const command = worker!.lifecycle!.preStop.exec.command;
        expect(existsSync(join(project, command[2]!))).toBe(true);
        const timeoutSeconds = Number(/^--timeout=(\d+)$/.exec(command[3]!)![1]);
        expect(worker!.env.map(({ name }) => name)).toContain("WORKER_PORT");
        const { videoMs, slots } = longest;
        expect(timeoutSeconds * 1000).toBeGreaterThan(slots * videoMs);
        // What the worker itself takes to end.
        expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(timeoutSeconds + 30);
      }
    });

    test("remove the files that ComfyUI leaves, those alone, and after longer than any job takes", async () => {
      for (const workload of workloads().filter(({ kind }) => kind === "StatefulSet")) {
        const containers = containersOf(workload);
        const cleaner = containers.find(({ name }) => name === "file-cleaner")!;
        const minutes = Object.fromEntries(cleaner.env.map(({ name, value }) => [name, Number(value)]));
        const { videoMs, slots } = longest;
        for (const each of Object.values(minutes)) expect(each * 60_000).toBeGreaterThan(2 * slots * videoMs);
        // Both see the same folders.
        const comfyui = containers.find(({ name }) => name === "comfyui")!;
        expect(comfyui.volumeMounts).toEqual(expect.arrayContaining(cleaner.volumeMounts));
        // All that is written to disks is asked for, so that the pod is not on a disk that is too small.
        const gigabytes = (texts: string[]): number =>
          texts.reduce((sum, text) => sum + parseInt(text, 10), 0);
        const limits = workload.spec.template.spec.volumes.flatMap(
          ({ emptyDir }) => emptyDir?.sizeLimit ?? [],
        );
        const asked = containers.flatMap(
          ({ resources: { requests } }) => requests["ephemeral-storage"] ?? [],
        );
        expect(gigabytes(asked)).toBeGreaterThanOrEqual(gigabytes(limits) - 1);
        const { kept, expected } = await runCleaner(cleaner, minutes);
        expect(kept).toEqual(expected);
      }
    });

    test("keep a pool's server known while its only pod is replaced, and tell clients apart by address", () => {
      const settings = (name: string): unknown =>
        ofKind("ConfigMap").find(({ metadata }) => metadata.name.startsWith(name))!["data"];
      expect(settings("genga-settings")).toMatchObject({ SERVER_RETIRE_MS: "3600000" });
      expect(settings("genga-api-settings")).toMatchObject({ TRUSTED_PROXIES: "uniquelocal" });
      for (const workload of workloads()) {
        const maps = containersOf(workload).flatMap(({ envFrom }) => envFrom);
        const names = maps.map(({ configMapRef: { name } }) => name.replace(/-\w+$/, ""));
        const ofApi = workload.kind === "Deployment" ? ["genga-api-settings"] : [];
        expect(names).toEqual(["genga-settings", ...ofApi]);
      }
    });

    test("let Prometheus see pods that are not ready", () => {
      const services = ofKind("Service").map((resource) => serviceSchema.parse(resource).spec);
      const scraped = services.filter(({ clusterIP }) => clusterIP === "None");
      expect(scraped).toHaveLength(3);
      for (const each of scraped) expect(each.publishNotReadyAddresses).toBe(true);
    });

    test("let each pool's servers have the label whose jobs are counted for it", () => {
      const pools = ofKind("ScaledObject").map((resource) => {
        const { spec, metadata } = scaledObjectSchema.parse(resource);
        const workload = workloads().find(({ metadata: { name } }) => name === spec.scaleTargetRef.name)!;
        const env = containersOf(workload).find(({ name }) => name === "worker")!.env;
        const labels = env
          .find(({ name }) => name === "SERVER_LABELS")!
          .value!.replace(/^.*=/, "")
          .split(",");
        const counted = /= \$\$pool:\$\$ \|\| '([^']*)'/.exec(spec.triggers[0].metadata.query)![1]!;
        expect(labels).toContain(`pool:${counted}`);
        expect(metadata.labels["genga.pool"]).toBe(counted);
        return counted;
      });
      expect(pools).toEqual(["general", "large"]);
    });
  },
);

const isOfKeda = ({ apiVersion }: Resource): boolean => apiVersion === "keda.sh/v1alpha1";
