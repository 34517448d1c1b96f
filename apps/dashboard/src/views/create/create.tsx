import { Group, Stack, Switch, Tabs, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { jobKinds, type CreateSearch, type JobKind } from "./create-search.ts";
import { JobForm } from "./job-form.tsx";
import { jobFieldsQuery } from "./job-schemas.ts";
import { SaveTemplate } from "./save-template.tsx";
import { TemplateForm } from "./template-form.tsx";

const route = getRouteApi("/frame/create");
const titles = { image: "Image", video: "Video", template: "Template", workflow: "Graph" } as const;

/** Forms for jobs. Their fields are those of the API's own schema. */
export function Create(): ReactNode {
  const may = useMay();
  const search = route.useSearch();
  const { kind = "image", sweep = false } = search;
  const navigate = route.useNavigate();
  const go = (change: Partial<Record<keyof CreateSearch, unknown>>): void => {
    const next = { ...search, ...change };
    const kept = Object.fromEntries(
      Object.entries(next).filter(([, value]) => value !== undefined && value !== false),
    );
    void navigate({ search: kept, replace: true });
  };
  if (!may("submit")) {
    return (
      <EmptyState
        title="Your key may not submit jobs"
        text="Ask an operator for a key with the role submit."
      />
    );
  }
  return (
    <Stack maw={900}>
      <Title order={2}>Create</Title>
      <Tabs
        value={kind}
        keepMounted={false}
        onChange={(chosen) => {
          go({ kind: chosen === "image" ? undefined : chosen });
        }}
      >
        <Group justify="space-between" mb="md">
          <Tabs.List aria-label="What to create">
            {jobKinds.map((each) => (
              <Tabs.Tab key={each} value={each}>
                {titles[each]}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Switch
            label="Many jobs (sweep)"
            checked={sweep}
            onChange={(event) => {
              go({ sweep: event.currentTarget.checked });
            }}
          />
        </Group>
        {jobKinds.map((each) => (
          <Tabs.Panel key={each} value={each}>
            <Form
              {...{ kind: each, isSweep: sweep, template: search.template, image: search.image }}
              onImageTaken={() => {
                go({ image: undefined });
              }}
              onTemplate={(template) => {
                go({ template });
              }}
            />
            {each === "workflow" && (
              <SaveTemplate
                onSaved={(template) => {
                  go({ kind: "template", template, sweep: false });
                }}
              />
            )}
          </Tabs.Panel>
        ))}
      </Tabs>
    </Stack>
  );
}

interface FormProps {
  readonly kind: JobKind;
  readonly template: string | undefined;
  readonly isSweep: boolean;
  /** An output that is to be the first image, as the address has it. */
  readonly image: string | undefined;
  readonly onImageTaken: () => void;
  readonly onTemplate: (name: string | undefined) => void;
}

function Form({ kind, template, isSweep, image, onImageTaken, onTemplate }: FormProps): ReactNode {
  const query = useQuery(jobFieldsQuery);
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const fields = query.data[kind];
  return kind === "template" ? (
    <TemplateForm name={template} isSweep={isSweep} options={fields} onChoose={onTemplate} />
  ) : (
    <JobForm key={kind} {...{ kind, isSweep, fields, image, onImageTaken }} template={undefined} />
  );
}
