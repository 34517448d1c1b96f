import { type JobDetail } from "@genga/client";
import { ActionIcon, Code, CopyButton, Group, ScrollArea, Text, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { parametersQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { Facts } from "../../parts/facts.tsx";
import { focusable } from "../../parts/focusable.ts";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Section } from "../../parts/section.tsx";
import { textOfValue } from "./rerun-changes.ts";

export function JobParameters({ job }: { job: JobDetail }): ReactNode {
  const query = useQuery(parametersQuery(job.id));
  if (query.data === undefined) {
    return (
      <Section title="Parameters">
        {query.isError ? (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <LoadingState rows={5} height={20} />
        )}
      </Section>
    );
  }
  const { parameters, template } = query.data;
  const values = template === null ? parameters : template.values;
  const text = JSON.stringify(values, null, 2);
  return (
    <Section
      title={template === null ? "Parameters" : `Values of ${template.name}, version ${template.version}`}
      aside={<Copy text={text} label="Copy the parameters as JSON" />}
    >
      {!Object.entries(values).some(isShown) ? (
        <Text size="sm">The graph says everything.</Text>
      ) : (
        <Facts
          facts={Object.entries(values)
            .filter(isShown)
            .map(([name, value]) => [name, <Value key={name} name={name} value={value} />])}
        />
      )}
    </Section>
  );
}

/** The graph has a place of its own on the page. */
function isShown([name, value]: [string, unknown]): boolean {
  return name !== "workflow" || typeof value !== "object";
}

function Value({ name, value }: { name: string; value: unknown }): ReactNode {
  if (name === "seed") {
    return (
      <Group gap={4} wrap="nowrap">
        <code>{textOfValue(value)}</code>
        <Copy text={textOfValue(value)} label="Copy the seed" />
      </Group>
    );
  }
  if (typeof value !== "object" || value === null) return textOfValue(value);
  return (
    <ScrollArea.Autosize mah={200} viewportProps={focusable(name)}>
      <Code block>{JSON.stringify(value, null, 2)}</Code>
    </ScrollArea.Autosize>
  );
}

function Copy({ text, label }: { text: string; label: string }): ReactNode {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label}>
          <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label={label}>
            {copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
