import { Anchor, NativeSelect, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, type ReactNode } from "react";
import { baseUrl, dataOf, genga } from "../../connection/genga.ts";
import { EmptyState } from "../../parts/empty-state.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { JobForm } from "./job-form.tsx";
import { type Field } from "./job-fields.ts";
import { templateFields } from "./template-fields.ts";

interface TemplateFormProps {
  readonly name: string | undefined;
  readonly isSweep: boolean;
  /** The options that every job of a template has. */
  readonly options: readonly Field[];
  readonly onChoose: (name: string | undefined) => void;
}

const templatesMax = 200;

/** A template is chosen, and then filled in. */
export function TemplateForm({ name, isSweep, options, onChoose }: TemplateFormProps): ReactNode {
  const list = useQuery({
    queryKey: ["templates"],
    queryFn: ({ signal }) =>
      dataOf(
        genga.http.GET("/api/anime/templates", {
          params: { query: { limit: templatesMax } as never },
          signal,
        }),
      ),
  });
  if (list.data === undefined) {
    return list.isError ? (
      <ErrorState error={list.error} onRetry={() => void list.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  // Image and video have forms of their own.
  const names = list.data.templates.filter(({ isBuiltIn }) => !isBuiltIn).map((template) => template.name);
  if (names.length === 0 && name === undefined) {
    return (
      <EmptyState
        title="There are no templates yet"
        text="A template is a graph that is stored once, with typed parameters. The tab Graph stores the one that it has, and programs do it with POST /api/anime/templates."
      >
        <Anchor href={`${baseUrl}/docs`}>How that is done</Anchor>
      </EmptyState>
    );
  }
  const shown = name === undefined || names.includes(name) ? names : [name, ...names];
  return (
    <Stack>
      <NativeSelect
        label="Template"
        value={name ?? ""}
        data={[
          { value: "", label: "Choose a template" },
          ...shown.map((each) => ({ value: each, label: each })),
        ]}
        onChange={(event) => {
          onChoose(event.currentTarget.value || undefined);
        }}
      />
      {name !== undefined && <OneTemplate key={name} {...{ name, isSweep, options }} />}
    </Stack>
  );
}

function OneTemplate({
  name,
  isSweep,
  options,
}: {
  name: string;
  isSweep: boolean;
  options: readonly Field[];
}): ReactNode {
  const query = useQuery({
    queryKey: ["templates", name],
    queryFn: ({ signal }) =>
      dataOf(genga.http.GET("/api/anime/templates/{name}", { params: { path: { name } }, signal })),
  });
  const { data } = query;
  const fields = useMemo(
    () => (data === undefined ? [] : [...templateFields(data.parameters), ...options]),
    [data, options],
  );
  if (data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  return (
    <>
      <Text c="dimmed" size="sm" style={{ overflowWrap: "anywhere" }}>
        {data.description} Version {data.version}.
      </Text>
      <JobForm kind="template" template={name} isSweep={isSweep} fields={fields} />
    </>
  );
}
