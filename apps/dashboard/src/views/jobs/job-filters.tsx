import { Button, CloseButton, Group, MultiSelect, SimpleGrid, Stack, TextInput } from "@mantine/core";
import { useDebouncedCallback, useDisclosure } from "@mantine/hooks";
import { IconAdjustments, IconSearch } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import {
  furtherFilters,
  isSearchable,
  jobStatuses,
  jobTypes,
  type JobsSearch,
  readJobsSearch,
} from "./jobs-search.ts";

type TextFilter = "text" | "project" | "scene" | "shot" | "tag" | "batch";

interface Props {
  readonly search: JobsSearch;
  readonly onChange: (search: JobsSearch) => void;
}

const further: readonly { name: Exclude<TextFilter, "text">; label: string }[] = [
  { name: "project", label: "Project" },
  { name: "scene", label: "Scene" },
  { name: "shot", label: "Shot" },
  { name: "tag", label: "Tag" },
  { name: "batch", label: "Id of a batch" },
];

/** What of the jobs is shown. All of it stands in the address. */
export function JobFilters({ search, onChange }: Props): ReactNode {
  const count = furtherFilters(search);
  const [isOpen, { toggle }] = useDisclosure(count > 0);
  const change = (changes: Record<string, unknown>): void => {
    onChange(readJobsSearch({ ...search, ...changes }));
  };
  const { text } = search;
  const isTooShort = text !== undefined && !isSearchable(text);
  return (
    <Stack gap="xs" role="search" aria-label="Filter jobs">
      <Group gap="xs" align="flex-start">
        <TextFilterInput
          value={text}
          label="Text of the prompt"
          placeholder="Search the prompts"
          icon={<IconSearch size={16} aria-hidden />}
          hint={isTooShort ? "Three characters or more are searched for." : undefined}
          onChange={(value) => {
            change({ text: value });
          }}
        />
        <Several
          name="Status"
          known={jobStatuses}
          chosen={search.status}
          onChange={(status) => {
            change({ status });
          }}
        />
        <Several
          name="Type"
          known={jobTypes}
          chosen={search.type}
          onChange={(type) => {
            change({ type });
          }}
        />
        <Button
          variant="default"
          leftSection={<IconAdjustments size={16} aria-hidden />}
          onClick={toggle}
          aria-expanded={isOpen}
        >
          {count === 0 ? "More" : `More (${count})`}
        </Button>
        {Object.keys(search).length > 0 && (
          <Button
            variant="subtle"
            onClick={() => {
              onChange({});
            }}
          >
            Show all
          </Button>
        )}
      </Group>
      {isOpen && (
        <SimpleGrid cols={{ base: 1, xs: 2, md: 5 }} spacing="xs">
          {further.map(({ name, label }) => (
            <TextFilterInput
              key={name}
              value={search[name]}
              label={label}
              placeholder={label}
              onChange={(value) => {
                change({ [name]: value });
              }}
            />
          ))}
        </SimpleGrid>
      )}
    </Stack>
  );
}

interface SeveralProps<Name extends string> {
  readonly name: string;
  readonly known: readonly Name[];
  readonly chosen: readonly Name[] | undefined;
  readonly onChange: (chosen: string[]) => void;
}

function Several<Name extends string>({ name, known, chosen = [], onChange }: SeveralProps<Name>): ReactNode {
  return (
    <MultiSelect
      aria-label={name}
      placeholder={chosen.length === 0 ? name : ""}
      data={[...known]}
      value={[...chosen]}
      onChange={onChange}
      clearable
      w={{ base: "100%", xs: "auto" }}
      miw={150}
      maw={{ xs: 340 }}
    />
  );
}

interface InputProps {
  readonly value: string | undefined;
  readonly label: string;
  readonly placeholder: string;
  readonly icon?: ReactNode;
  readonly hint?: string | undefined;
  readonly onChange: (value: string) => void;
}

/** Goes into the address once one has stopped typing. */
function TextFilterInput({ value = "", label, placeholder, icon, hint, onChange }: InputProps): ReactNode {
  const [typed, setTyped] = useState({ value, text: value });
  // The address was changed from elsewhere.
  if (typed.value !== value) setTyped({ value, text: value });
  const tell = useDebouncedCallback(onChange, 300);
  const type = (text: string): void => {
    setTyped({ value, text });
    tell(text);
  };
  return (
    <TextInput
      aria-label={label}
      placeholder={placeholder}
      leftSection={icon}
      value={typed.text}
      maxLength={200}
      description={hint}
      inputWrapperOrder={["input", "description"]}
      w={{ base: "100%", ...(icon !== undefined && { xs: 240 }) }}
      onChange={(event) => {
        type(event.currentTarget.value);
      }}
      rightSection={
        typed.text !== "" && (
          <CloseButton
            size="sm"
            aria-label={`Clear: ${label}`}
            onClick={() => {
              type("");
            }}
          />
        )
      }
    />
  );
}
