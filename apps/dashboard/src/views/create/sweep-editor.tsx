import {
  Autocomplete,
  Button,
  CloseButton,
  Fieldset,
  Group,
  NativeSelect,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { countOf, type SweepDraft, type SweepRow } from "./sweep-body.ts";
import { type Variable } from "./variables.ts";

interface SweepEditorProps {
  readonly draft: SweepDraft;
  /** Empty: the names are typed. */
  readonly variables: readonly Variable[];
  readonly errors: ReadonlyMap<string, string>;
  /** Where the API says that a list stands: `sweep.vary.` */
  readonly place: string;
  readonly isFree: boolean;
  readonly onChange: (draft: SweepDraft) => void;
}

/** Lists of values, of which every combination becomes a job. */
export function SweepEditor(props: SweepEditorProps): ReactNode {
  const { draft, errors, onChange } = props;
  const set = (change: Partial<SweepDraft>): void => {
    onChange({ ...draft, ...change });
  };
  const seedsError = errors.get("sweep.seeds");
  return (
    <Fieldset legend="Sweep: one job for each combination">
      <Stack gap="sm">
        {draft.rows.map((row, index) => (
          <Row
            key={index}
            {...props}
            row={row}
            index={index}
            onRow={(next) => {
              set({
                rows: draft.rows.flatMap((other, at) =>
                  at !== index ? [other] : next === undefined ? [] : [next],
                ),
              });
            }}
          />
        ))}
        <Group>
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden />}
            onClick={() => {
              set({ rows: [...draft.rows, { name: "", values: "" }] });
            }}
          >
            Vary a value
          </Button>
          {draft.rows.length > 1 && (
            <SegmentedControl
              size="xs"
              aria-label="How the lists are combined"
              data={[
                { value: "product", label: "Every combination" },
                { value: "zip", label: "First with first" },
              ]}
              value={draft.combine}
              onChange={(combine) => {
                set({ combine: combine === "zip" ? "zip" : "product" });
              }}
            />
          )}
        </Group>
        <SimpleGrid cols={{ base: 1, xs: 3 }}>
          <TextInput
            label="Seeds for each"
            inputMode="numeric"
            placeholder="1"
            value={draft.seedsCount}
            error={seedsError}
            onChange={(event) => {
              set({ seedsCount: event.currentTarget.value });
            }}
          />
          <TextInput
            label="First seed"
            inputMode="numeric"
            placeholder="0"
            value={draft.seedsFrom}
            onChange={(event) => {
              set({ seedsFrom: event.currentTarget.value });
            }}
          />
          <TextInput
            label="Name of the batch"
            value={draft.batchName}
            error={errors.get("name")}
            onChange={(event) => {
              set({ batchName: event.currentTarget.value });
            }}
          />
        </SimpleGrid>
        <Text size="sm" role="status">
          {countOf(draft).toLocaleString("en")} {countOf(draft) === 1 ? "job" : "jobs"}
        </Text>
      </Stack>
    </Fieldset>
  );
}

interface RowProps extends Omit<SweepEditorProps, "draft" | "onChange"> {
  readonly row: SweepRow;
  readonly index: number;
  readonly onRow: (row: SweepRow | undefined) => void;
}

function Row({ row, index, variables, errors, place, isFree, onRow }: RowProps): ReactNode {
  const label = `Varied ${index + 1}`;
  const setName = (name: string): void => {
    onRow({ ...row, name });
  };
  return (
    <Group align="flex-start" gap="xs">
      <div style={{ flex: "1 1 160px" }}>
        {isFree ? (
          <Autocomplete
            label={label}
            placeholder="3.cfg"
            data={variables.map(({ name }) => name)}
            limit={100}
            value={row.name}
            onChange={setName}
          />
        ) : (
          <NativeSelect
            label={label}
            value={row.name}
            data={[
              { value: "", label: "Choose" },
              ...variables.map(({ name, label: text }) => ({ value: name, label: text })),
            ]}
            onChange={(event) => {
              setName(event.currentTarget.value);
            }}
          />
        )}
      </div>
      <Textarea
        style={{ flex: "2 1 220px" }}
        label={`Values ${index + 1}, one a line`}
        autosize
        minRows={2}
        maxRows={10}
        value={row.values}
        error={errors.get(`${place}${row.name}`)}
        onChange={(event) => {
          onRow({ ...row, values: event.currentTarget.value });
        }}
      />
      <CloseButton
        mt={28}
        aria-label={`Do not vary ${row.name || index + 1}`}
        onClick={() => {
          onRow(undefined);
        }}
      />
    </Group>
  );
}
