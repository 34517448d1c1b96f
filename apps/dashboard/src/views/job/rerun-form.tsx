import { GengaError, type JobDetail } from "@genga/client";
import { Alert, Button, Group, Modal, SegmentedControl, Stack, Text, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo, useState, type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { dataOf, genga } from "../../connection/genga.ts";
import { parametersQuery, workflowQuery } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";
import { useBodyKey } from "../../connection/use-body-key.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { useOnce } from "../../parts/use-once.ts";
import { changedSearch } from "./job-search.ts";
import { RerunFields } from "./rerun-fields.tsx";
import {
  changesOf,
  fieldsOfGraph,
  fieldsOfParameters,
  newSeed,
  problemsByField,
  seedsOfForm,
  type RerunField,
} from "./rerun-changes.ts";

const route = getRouteApi("/frame/jobs/$id");

/** The values of the job, to be changed in a form or as JSON; the refusals of the API stand at their fields. */
export function RerunForm({ job }: { job: JobDetail }): ReactNode {
  const { rerun = false } = route.useSearch();
  const navigate = route.useNavigate();
  const may = useMay();
  const close = (): void =>
    void navigate({
      search: (old) => changedSearch(old, { rerun: undefined }),
      replace: true,
      resetScroll: false,
    });
  return (
    <Modal
      opened={rerun && may("submit")}
      onClose={close}
      title="Rerun with changes"
      size="lg"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Loaded job={job} />
    </Modal>
  );
}

function Loaded({ job }: { job: JobDetail }): ReactNode {
  const isGraph = job.type === "workflow";
  const parameters = useQuery({ ...parametersQuery(job.id), enabled: !isGraph });
  const workflow = useQuery({ ...workflowQuery(job.id), enabled: isGraph });
  const query = isGraph ? workflow : parameters;
  const fields = useMemo(() => {
    if (isGraph) return workflow.data && fieldsOfGraph(workflow.data);
    return parameters.data && fieldsOfParameters(parameters.data.parameters);
  }, [isGraph, workflow.data, parameters.data]);
  if (fields !== undefined) return <Form job={job} fields={fields} />;
  return query.isError ? (
    <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  ) : (
    <LoadingState />
  );
}

function Form({ job, fields }: { job: JobDetail; fields: readonly RerunField[] }): ReactNode {
  const navigate = route.useNavigate();
  const [edited, setEdited] = useState<ReadonlyMap<string, unknown>>(
    () => new Map(fields.filter(({ isSeed }) => isSeed).map(({ id }) => [id, newSeed])),
  );
  const [drawSeed] = useState(() => seedsOfForm());
  const [json, setJson] = useState<string>();
  const keyOf = useBodyKey();
  const mutationKey = ["rerun", job.id];
  const once = useOnce(mutationKey);
  const rerun = useMutation({
    mutationKey,
    mutationFn: () => {
      const changes = json === undefined ? changesOf(fields, edited, drawSeed) : readJson(json);
      return sendRerun(job.id, changes, keyOf(JSON.stringify(changes)));
    },
    onSuccess: ({ id }) => {
      notifications.show({ message: "Submitted; this is the new job." });
      return navigate({ to: "/jobs/$id", params: { id }, search: {} });
    },
  });
  const problems = problemsByField(fields, rerun.error instanceof GengaError ? rerun.error.problems : []);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        once(() => rerun.mutate());
      }}
    >
      <Stack>
        <SegmentedControl
          aria-label="How the changes are written"
          value={json === undefined ? "form" : "json"}
          data={[
            { value: "form", label: "Form" },
            { value: "json", label: "JSON" },
          ]}
          onChange={(form) =>
            setJson(
              form === "json" ? JSON.stringify(changesOf(fields, edited, drawSeed), null, 2) : undefined,
            )
          }
        />
        {json === undefined ? (
          <RerunFields
            fields={fields}
            edited={edited}
            problems={problems}
            onChange={(id, value) => setEdited((old) => new Map(old).set(id, value))}
          />
        ) : (
          <Textarea
            label="Changes"
            description={
              job.type === "workflow"
                ? "Node id → inputs with new values; null takes an input away."
                : "Parameters with new values; null takes one away, so that its default holds (a new seed)."
            }
            autosize
            minRows={8}
            maxRows={20}
            spellCheck={false}
            styles={{ input: { fontFamily: "monospace" } }}
            value={json}
            onChange={(event) => setJson(event.currentTarget.value)}
          />
        )}
        {rerun.isError && (
          <Refusal
            error={rerun.error}
            others={
              json === undefined && problems.size > 0
                ? (problems.get("") ?? ["See the marked fields."])
                : undefined
            }
          />
        )}
        <Group justify="flex-end">
          <Button type="submit" loading={rerun.isPending}>
            Submit
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What stands at no field; in JSON, everything. */
function Refusal({ error, others }: { error: Error; others: readonly string[] | undefined }): ReactNode {
  const { title, detail } = messageOf(error);
  return (
    <Alert color="red" title={title} role="alert">
      <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
        {others === undefined ? detail : others.join("\n")}
      </Text>
    </Alert>
  );
}

async function sendRerun(id: string, changes: Record<string, unknown>, key: string): Promise<{ id: string }> {
  const init = { params: { path: { id }, header: { "Idempotency-Key": key } }, body: { changes } };
  return dataOf(genga.http.POST("/api/anime/jobs/{id}/rerun", init as never));
}

function readJson(text: string): Record<string, unknown> {
  const value = parsed(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw refusal('The changes must be an object, as in {"steps": 30}.');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal(`This is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function refusal(detail: string): GengaError {
  return new GengaError({ status: 422, code: "invalid-field", title: "The changes cannot be read", detail });
}
