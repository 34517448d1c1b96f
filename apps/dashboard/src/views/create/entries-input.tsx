import { Button, CloseButton, Fieldset, Group, Input, Stack } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { type EntryValue, type Value } from "./job-body.ts";
import { type Field } from "./job-fields.ts";

export interface FieldInputProps {
  readonly field: Field;
  /** Which form it is in. */
  readonly form: string;
  readonly value: Value | undefined;
  /** What the API said of it. */
  readonly error: string | undefined;
  readonly onChange: (value: Value | undefined) => void;
}

interface EntriesInputProps {
  /** The inputs of the entries' own fields. */
  readonly inputOf: (props: FieldInputProps) => ReactNode;
  readonly field: Field;
  readonly form: string;
  readonly value: readonly EntryValue[];
  readonly error: string | undefined;
  readonly onChange: (value: readonly EntryValue[]) => void;
}

/** A list of LoRAs and the like. */
export function EntriesInput({
  inputOf: FieldInput,
  field,
  form,
  value,
  error,
  onChange,
}: EntriesInputProps): ReactNode {
  const { label, description, entry = [] } = field;
  return (
    <Fieldset legend={label} p="sm">
      <Stack gap="sm" align="flex-start">
        {description !== undefined && <Input.Description>{description}</Input.Description>}
        {value.map((one, index) => (
          <Group key={index} align="flex-start" gap="xs" w="100%">
            {entry.map((part) => (
              <div key={part.name} style={{ flex: "1 1 140px" }}>
                <FieldInput
                  field={{ ...part, label: `${part.label} ${index + 1}` }}
                  form={form}
                  value={one[part.name]}
                  error={undefined}
                  onChange={(changed) => {
                    const next = { ...one, [part.name]: typeof changed === "string" ? changed : "" };
                    onChange(value.map((other, at) => (at === index ? next : other)));
                  }}
                />
              </div>
            ))}
            <CloseButton
              mt={28}
              aria-label={`Remove ${label} ${index + 1}`}
              onClick={() => {
                onChange(value.filter((_, at) => at !== index));
              }}
            />
          </Group>
        ))}
        {error !== undefined && <Input.Error role="alert">{error}</Input.Error>}
        <Button
          size="xs"
          variant="default"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => {
            onChange([...value, {}]);
          }}
        >
          Add
        </Button>
      </Stack>
    </Fieldset>
  );
}
