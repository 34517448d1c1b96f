import { Button, Checkbox, Fieldset, Group, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { GengaError } from "@genga/client";
import { dataOf, genga } from "../../connection/genga.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { useChange } from "../../parts/use-change.ts";
import { useDraft } from "./draft.ts";
import { readGraphText } from "./json-text.ts";
import { suggestionText, suggestions, templateText, type Suggestion } from "./template-body.ts";

/** Stores the graph of the form as a template, with those of its values as parameters that a person chooses. */
export function SaveTemplate({ onSaved }: { onSaved: (name: string) => void }): ReactNode {
  const { draft } = useDraft("workflow");
  const [isOpen, setIsOpen] = useState(false);
  const graph = readGraphText(draft.workflow).text;
  return (
    <Stack mt="md" align="flex-start">
      <Button
        variant="default"
        size="compact-sm"
        aria-expanded={isOpen}
        disabled={graph === undefined}
        onClick={() => {
          setIsOpen(!isOpen);
        }}
      >
        Save the graph as a template
      </Button>
      {isOpen && graph !== undefined && <Suggested graph={graph} onSaved={onSaved} />}
    </Stack>
  );
}

interface Props {
  readonly graph: string;
  readonly onSaved: (name: string) => void;
}

/** Until the API has said which values could be parameters. */
function Suggested({ graph, onSaved }: Props): ReactNode {
  const { data, error, refetch } = useQuery({
    queryKey: ["suggested-template", graph],
    queryFn: ({ signal }) =>
      dataOf(genga.http.POST("/api/anime/templates/suggest", { ...textBody(suggestionText(graph)), signal })),
    gcTime: 0,
    retry: false,
  });
  if (data === undefined) {
    return error === null ? (
      <LoadingState rows={2} />
    ) : (
      <ErrorState error={error} onRetry={() => void refetch()} />
    );
  }
  return <Choices key={graph} suggested={suggestions(data.parameters)} {...{ graph, onSaved }} />;
}

interface ChoicesProps extends Props {
  readonly suggested: readonly Suggestion[];
}

function Choices({ graph, suggested, onSaved }: ChoicesProps): ReactNode {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [left, setLeft] = useState<readonly string[]>([]);
  const chosen = suggested.filter((each) => !left.includes(each.name));
  const save = useChange(
    async (how: "first" | "next version") => {
      const text = templateText({ ...(how === "first" && { name }), description, chosen, graph });
      const stored =
        how === "first"
          ? await dataOf(genga.http.POST("/api/anime/templates", textBody(text)))
          : await dataOf(
              genga.http.PUT("/api/anime/templates/{name}", {
                ...textBody(text),
                params: { path: { name } },
              }),
            );
      const told = [`${stored.name} is stored, version ${stored.version}.`, ...stored.warnings];
      notifications.show({ color: "teal", message: told.join(" ") });
      // Its form must not begin with the version before.
      await queries.invalidateQueries({ queryKey: ["templates"] });
      onSaved(stored.name);
    },
    ["templates"],
  );
  const { error } = save;
  const isTaken = error instanceof GengaError && error.code === "template-name-taken";
  const problems = error instanceof GengaError ? error.byField : undefined;
  const said = (field: string): string | undefined =>
    problems
      ?.get(field)
      ?.map(({ message }) => message)
      .join(", ");
  return (
    <Fieldset legend="A new template" w="100%">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!save.isPending) save.mutate("first");
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="Name"
            required
            placeholder="character-sheet"
            value={name}
            error={said("name")}
            onChange={(event) => {
              setName(event.currentTarget.value.trim());
            }}
          />
          <Textarea
            label="Description"
            autosize
            value={description}
            error={said("description")}
            onChange={(event) => {
              setDescription(event.currentTarget.value);
            }}
          />
          <Parameters {...{ suggested, left }} onChange={setLeft} />
          {isTaken ? (
            <Group>
              <Text size="sm" role="alert">
                There is a template of this name.
              </Text>
              <Button
                size="compact-sm"
                variant="default"
                onClick={() => {
                  if (!save.isPending) save.mutate("next version");
                }}
              >
                Store it as its next version
              </Button>
            </Group>
          ) : (
            error !== null &&
            said("name") === undefined &&
            said("description") === undefined && <ErrorState error={error} />
          )}
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save the template
            </Button>
          </Group>
        </Stack>
      </form>
    </Fieldset>
  );
}

interface ParametersProps {
  readonly suggested: readonly Suggestion[];
  /** The names of those that are not to be parameters. */
  readonly left: readonly string[];
  readonly onChange: (left: readonly string[]) => void;
}

function Parameters({ suggested, left, onChange }: ParametersProps): ReactNode {
  if (suggested.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        The graph has no values that are usually parameters: its jobs will all be alike.
      </Text>
    );
  }
  return (
    <Checkbox.Group
      label="Values that each job may change"
      description="Everything else stays as it is in the graph."
      value={suggested.flatMap((each) => (left.includes(each.name) ? [] : each.name))}
      onChange={(kept) => {
        onChange(suggested.flatMap((each) => (kept.includes(each.name) ? [] : each.name)));
      }}
    >
      <Stack gap={6} mt={6}>
        {suggested.map(({ name, detail }) => (
          <Checkbox key={name} value={name} label={name} description={detail} />
        ))}
      </Stack>
    </Checkbox.Group>
  );
}

function textBody(text: string): { body: never; bodySerializer: () => string } {
  return { body: {} as never, bodySerializer: () => text };
}
