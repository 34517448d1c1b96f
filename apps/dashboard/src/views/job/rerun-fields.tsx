import {
  Accordion,
  Badge,
  Group,
  NumberInput,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useState, type ReactNode } from "react";
import { newSeed, textOfValue, type RerunField } from "./rerun-changes.ts";

interface Edits {
  readonly edited: ReadonlyMap<string, unknown>;
  readonly problems: ReadonlyMap<string, readonly string[]>;
  readonly onChange: (id: string, value: unknown) => void;
}

/** Those of a graph by its nodes, which are closed at first except for texts and refusals. */
export function RerunFields({ fields, ...edits }: Edits & { fields: readonly RerunField[] }): ReactNode {
  const groups = new Map<string, { title: string; fields: RerunField[] }>();
  for (const field of fields) {
    if (field.node === undefined) continue;
    const group = groups.get(field.node.id) ?? { title: `${field.node.id}: ${field.node.title}`, fields: [] };
    group.fields.push(field);
    groups.set(field.node.id, group);
  }
  const withTexts = [...groups].flatMap(([id, group]) =>
    group.fields.some(({ name, isSeed }) => isSeed || name === "text" || name === "prompt") ? [id] : [],
  );
  const [open, setOpen] = useState<string[]>(withTexts);
  const refused = [...groups].flatMap(([id, group]) =>
    group.fields.some((field) => edits.problems.has(field.id)) ? [id] : [],
  );
  if (groups.size === 0) {
    return (
      <Stack gap="sm">
        {fields.map((field) => (
          <FieldInput key={field.id} field={field} {...edits} />
        ))}
      </Stack>
    );
  }
  return (
    <Accordion multiple value={[...new Set([...open, ...refused])]} onChange={setOpen} variant="separated">
      {[...groups].map(([id, group]) => (
        <Accordion.Item key={id} value={id}>
          <Accordion.Control>
            <Group gap="xs">
              <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                {group.title}
              </Text>
              {refused.includes(id) && <Badge color="red">refused</Badge>}
            </Group>
          </Accordion.Control>
          <Accordion.Panel>
            <Stack gap="sm">
              {group.fields.map((field) => (
                <FieldInput key={field.id} field={field} {...edits} />
              ))}
            </Stack>
          </Accordion.Panel>
        </Accordion.Item>
      ))}
    </Accordion>
  );
}

function FieldInput({ field, edited, problems, onChange }: Edits & { field: RerunField }): ReactNode {
  const { id, name, value, isSeed } = field;
  const shown = edited.has(id) ? edited.get(id) : value;
  const error = problems.get(id)?.join("\n");
  const common = { label: name, ...(error !== undefined && { error }) };
  const change = (next: unknown): void => onChange(id, next);
  if (isSeed) {
    return (
      <Group align="flex-end" gap="md">
        <ValueInput
          common={common}
          value={shown === newSeed ? "" : shown}
          like={value}
          onChange={change}
          isOff={shown === newSeed}
        />
        <Switch
          label="A new seed"
          mb={8}
          checked={shown === newSeed}
          onChange={(event) => change(event.currentTarget.checked ? newSeed : value)}
        />
      </Group>
    );
  }
  return <ValueInput common={common} value={shown} like={value} onChange={change} />;
}

function ValueInput({
  common,
  value,
  like,
  onChange,
  isOff = false,
}: {
  common: { label: string; error?: string };
  value: unknown;
  like: unknown;
  onChange: (value: unknown) => void;
  isOff?: boolean;
}): ReactNode {
  const others = { ...common, disabled: isOff };
  if (typeof like === "number") {
    // What is no number is sent as it is: the API says what it wants.
    return (
      <NumberInput
        {...others}
        value={typeof value === "number" || typeof value === "string" ? value : ""}
        onChange={(next) => onChange(next)}
        allowDecimal
      />
    );
  }
  if (typeof like === "boolean") {
    return (
      <Switch
        {...others}
        checked={value === true}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    );
  }
  if (typeof like === "string") {
    const text = textOfValue(value);
    return like.length > 60 || /prompt|text/i.test(common.label) ? (
      <Textarea
        {...others}
        autosize
        minRows={2}
        maxRows={10}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    ) : (
      <TextInput {...others} value={text} onChange={(event) => onChange(event.currentTarget.value)} />
    );
  }
  return <JsonInput {...others} value={value} onChange={onChange} />;
}

/** Lists and objects as JSON. While the text is none, the field keeps its last value and says so. */
function JsonInput({
  value,
  onChange,
  error,
  ...others
}: {
  label: string;
  error?: string;
  disabled: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
}): ReactNode {
  const [text, setText] = useState(() => JSON.stringify(value));
  const [isJson, setIsJson] = useState(true);
  return (
    <TextInput
      {...others}
      value={text}
      error={isJson ? error : "This is no JSON; the last value that was stays."}
      onChange={(event) => {
        const next = event.currentTarget.value;
        setText(next);
        try {
          onChange(JSON.parse(next));
          setIsJson(true);
        } catch {
          setIsJson(false);
        }
      }}
    />
  );
}
