import { Stack } from "@mantine/core";
import { useIsMutating } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, type ReactNode } from "react";
import { useDraft } from "./draft.ts";
import { uploadsOf } from "./file-input.tsx";
import { FieldsEditor } from "./fields-editor.tsx";
import { batchText, bodyOf, jobText } from "./job-body.ts";
import { type Field } from "./job-fields.ts";
import { readGraphText } from "./json-text.ts";
import { graphField, refusalOf, type Refusal } from "./refusals.ts";
import { SubmitBar } from "./submit-bar.tsx";
import { sweepOf, sweepPlaces } from "./sweep-body.ts";
import { SweepEditor } from "./sweep-editor.tsx";
import { useCheck, useSubmission } from "./use-submission.ts";
import { variablesOf } from "./variables.ts";
import { WorkflowEditor } from "./workflow-editor.tsx";
import { readImage, type JobKind } from "./create-search.ts";

interface JobFormProps {
  readonly kind: JobKind;
  readonly template: string | undefined;
  readonly isSweep: boolean;
  readonly fields: readonly Field[];
  /** An output that is to be the first image, as the address has it. */
  readonly image?: string | undefined;
  readonly onImageTaken?: () => void;
}

const noErrors: ReadonlyMap<string, string> = new Map();

/** The form of one kind of jobs. A form of another kind, or template, must be a new component. */
export function JobForm(props: JobFormProps): ReactNode {
  const { kind, template, isSweep, fields, image, onImageTaken } = props;
  const name = template === undefined ? kind : `${kind}:${template}`;
  const { draft, change, clear } = useDraft(name);
  useFirstImage(image, change, onImageTaken);
  const isUploading = useIsMutating({ mutationKey: uploadsOf(name) }) > 0;
  const submission = useSubmission();
  const check = useCheck();
  const form = useRef<HTMLFormElement>(null);
  const { values, workflow, sweep } = draft;
  const place = `sweep.${sweepPlaces[kind]}.`;
  const names = useMemo(
    () =>
      new Set([
        ...fields.map(({ name }) => name),
        ...sweep.rows.map(({ name }) => `${place}${name}`),
        ...["sweep.seeds", "name", ...(kind === "workflow" ? [graphField] : [])],
      ]),
    [fields, sweep.rows, place, kind],
  );

  const variables = variablesOf(kind, fields, workflow);
  const graph = kind === "workflow" ? readGraphText(workflow) : undefined;
  const { webhook, ...body } = bodyOf(fields, values);
  // Of a sweep the batch is told of, and not each job by itself.
  const ofOneJob = isSweep || webhook === undefined ? {} : { webhook };
  const job = jobText(
    { ...(kind === "template" ? { template } : { type: kind }), ...body, ...ofOneJob },
    graph?.text,
  );
  const kinds = new Map(fields.map((field) => [field.name.replace(/^values\./, ""), field.kind]));
  const swept = isSweep ? sweepOf(kind, sweep, kinds) : undefined;
  const options = isSweep ? batchOptions(sweep.batchName, webhook) : {};
  const checkedText = batchText(job, swept, { ...options, dryRun: true });

  const isCurrent = check.variables === checkedText;
  const checked = isCurrent ? check.data : undefined;
  const error = submission.error ?? check.error;
  const refusal = error === null ? undefined : refusalOf(error, names);
  const errors = refusal?.fields ?? noErrors;

  // Whoever sees or hears only a part of the form is taken to what was refused.
  useEffect(() => {
    if (error !== null) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [error]);

  const isUsable = graph?.problem === undefined && !isUploading;
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (!isUsable || (isSweep && checked === undefined)) return;
        check.reset();
        submission.submit(
          isSweep ? { kind: "batch", text: batchText(job, swept, options) } : { kind: "job", text: job },
        );
      }}
    >
      <Stack>
        {kind === "workflow" && (
          <WorkflowEditor
            text={workflow}
            problems={graphProblems(graph?.problem, workflow, refusal)}
            onChange={(text) => {
              change(() => ({ workflow: text }));
            }}
          />
        )}
        <FieldsEditor
          fields={fields}
          values={values}
          errors={errors}
          form={name}
          onChange={(part) => {
            change((before) => ({ values: { ...before.values, ...part } }));
          }}
        />
        {isSweep && (
          <SweepEditor
            {...{ draft: sweep, variables, errors, place, isFree: kind === "workflow" }}
            onChange={(next) => {
              change(() => ({ sweep: next }));
            }}
          />
        )}
        <SubmitBar
          {...{ isSweep, checked, refusal, isUploading }}
          {...{ isChecking: check.isPending, isSubmitting: submission.isPending }}
          onCheck={() => {
            submission.reset();
            if (isUsable) check.mutate(checkedText);
          }}
          onClear={() => {
            clear();
            submission.reset();
            check.reset();
          }}
        />
      </Stack>
    </form>
  );
}

function batchOptions(name: string, webhook: unknown): object {
  return { ...(name !== "" && { name }), ...(webhook !== undefined && { webhook }) };
}

/** Takes an output that the address names into the form. */
function useFirstImage(
  image: string | undefined,
  change: ReturnType<typeof useDraft>["change"],
  onTaken: (() => void) | undefined,
): void {
  useEffect(() => {
    const initImage = readImage(image);
    if (initImage === undefined) return;
    change((before) => ({ values: { ...before.values, initImage } }));
    onTaken?.();
  }, [image, change, onTaken]);
}

function graphProblems(problem: string | undefined, text: string, refusal: Refusal | undefined) {
  if (problem !== undefined) return text === "" ? [] : [{ text: problem }];
  const whole = refusal?.fields.get(graphField);
  const ofNodes = refusal?.others.filter(({ nodeId }) => nodeId !== undefined) ?? [];
  return [...(whole === undefined ? [] : [{ text: whole }]), ...ofNodes];
}
