import { Accordion, Badge, Button, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { FieldInput } from "./field-input.tsx";
import { groupsOf } from "./field-groups.ts";
import { type Value, type Values } from "./job-body.ts";
import { type Field } from "./job-fields.ts";

interface FieldsEditorProps {
  readonly fields: readonly Field[];
  readonly values: Values;
  readonly errors: ReadonlyMap<string, string>;
  /** Which form it is, among those that have uploads under way. */
  readonly form: string;
  /** With the values that are new; others may have changed since this was drawn. */
  readonly onChange: (part: Values) => void;
}

const sizes = [
  [512, 768],
  [768, 512],
  [512, 512],
  [1024, 1024],
  [832, 1216],
  [1280, 720],
] as const;

/** What matters first, and the rest folded; a folded group that holds a refused field is open. */
export function FieldsEditor({ fields, values, errors, form, onChange }: FieldsEditorProps): ReactNode {
  const { first, folded } = groupsOf(fields);
  const set = (name: string, value: Value | undefined): void => {
    onChange({ [name]: value });
  };
  const refused = folded
    .filter((group) => group.fields.some(({ name }) => errors.has(name)))
    .map(({ title }) => title);
  const [opened, setOpened] = useState<readonly string[]>([]);
  const [opening, setOpening] = useState("");
  // A new refusal opens its groups; what is in them, and an upload that is under way, stays.
  if (opening !== refused.join()) {
    setOpening(refused.join());
    setOpened([...new Set([...opened, ...refused])]);
  }
  const inputs = (list: readonly Field[]): ReactNode => (
    <FieldGrid fields={list} values={values} errors={errors} form={form} onChange={set} />
  );
  return (
    <Stack>
      {inputs(first)}
      {first.some(({ name }) => name === "width") && (
        <Group gap="xs" role="group" aria-label="Sizes">
          {sizes.map(([width, height]) => (
            <Button
              key={`${width}x${height}`}
              size="compact-sm"
              variant={
                values["width"] === String(width) && values["height"] === String(height)
                  ? "filled"
                  : "default"
              }
              onClick={() => {
                onChange({ width: String(width), height: String(height) });
              }}
            >
              {width} × {height}
            </Button>
          ))}
        </Group>
      )}
      <Accordion multiple value={[...opened]} onChange={setOpened} variant="separated">
        {folded.map((group) => (
          <Accordion.Item key={group.title} value={group.title}>
            <Accordion.Control>
              <Group gap="xs">
                <Text>{group.title}</Text>
                <GroupMarks fields={group.fields} values={values} errors={errors} />
              </Group>
            </Accordion.Control>
            <Accordion.Panel>{inputs(group.fields)}</Accordion.Panel>
          </Accordion.Item>
        ))}
      </Accordion>
    </Stack>
  );
}

/** That a folded group has something in it can be seen from outside. */
function GroupMarks({ fields, values, errors }: Omit<FieldsEditorProps, "form" | "onChange">): ReactNode {
  const set = fields.filter(({ name }) => isSet(values[name])).length;
  const refused = fields.filter(({ name }) => errors.has(name)).length;
  return (
    <>
      {set > 0 && (
        <Badge variant="light" size="sm">
          {set} set
        </Badge>
      )}
      {refused > 0 && (
        <Badge color="red" variant="light" size="sm">
          {refused} refused
        </Badge>
      )}
    </>
  );
}

function isSet(value: Value | undefined): boolean {
  return (
    value !== undefined && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0)
  );
}

const wide: readonly string[] = ["long-text", "entries", "file", "texts"];

function FieldGrid({
  fields,
  values,
  errors,
  form,
  onChange,
}: Omit<FieldsEditorProps, "onChange"> & {
  onChange: (name: string, value: Value | undefined) => void;
}): ReactNode {
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm" verticalSpacing="sm">
      {fields.map((field) => (
        <div
          key={field.name}
          style={{ gridColumn: wide.includes(field.kind) || field.name === "model" ? "1 / -1" : "span 2" }}
          data-kind={field.kind}
        >
          <FieldInput
            field={field}
            form={form}
            value={values[field.name]}
            error={errors.get(field.name)}
            onChange={(value) => {
              onChange(field.name, value);
            }}
          />
        </div>
      ))}
    </SimpleGrid>
  );
}
