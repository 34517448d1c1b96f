import {
  ActionIcon,
  Autocomplete,
  Checkbox,
  NativeSelect,
  NumberInput,
  TagsInput,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconDice5 } from "@tabler/icons-react";
import { type ReactNode } from "react";
import { drawnSeed } from "../../parts/drawn-seed.ts";
import { EntriesInput, type FieldInputProps } from "./entries-input.tsx";
import { FileInput } from "./file-input.tsx";
import { type EntryValue, type FileValue, type OutputValue, type Value } from "./job-body.ts";
import { type Field } from "./job-fields.ts";
import { OutputInput } from "./output-input.tsx";
import { useModelNames } from "./use-model-names.ts";

/** The input of one field of the API's schema. */
export function FieldInput(props: FieldInputProps): ReactNode {
  const { field, form, value, error, onChange } = props;
  switch (field.kind) {
    case "file":
      return isOutput(value) ? (
        <OutputInput {...labelled(field, error)} {...{ value, onChange }} />
      ) : (
        <FileInput
          {...labelled(field, error)}
          {...{ form, name: field.name, onChange }}
          value={fileOf(value)}
          onOutputWanted={() => {
            onChange({ from: "", output: "0" });
          }}
        />
      );
    case "entries":
      return (
        <EntriesInput
          inputOf={FieldInput}
          field={field}
          form={form}
          value={entriesOf(value)}
          error={error}
          onChange={onChange}
        />
      );
    case "texts":
      return <TextsInput {...props} />;
    case "boolean":
      return (
        <Checkbox
          {...labelled(field, error)}
          checked={value === undefined ? field.default === true : value === true}
          onChange={(event) => {
            onChange(event.currentTarget.checked);
          }}
        />
      );
    case "integer":
    case "number":
      return <FigureInput {...props} />;
    case "secret":
      return <SecretInput {...props} />;
    case "choice":
    case "long-text":
    case "seed":
    case "text":
    case "time":
      return <TextualInput {...props} />;
  }
}

function labelled(field: Field, error: string | undefined) {
  const { label, description, isRequired } = field;
  return {
    ...{ label, required: isRequired },
    ...(description !== undefined && { description }),
    ...(error !== undefined && { error }),
    inputWrapperOrder: ["label", "input", "error", "description"] as (
      "label" | "input" | "error" | "description"
    )[],
    styles: { error: { whiteSpace: "pre-line", overflowWrap: "anywhere" as const } },
  };
}

function placeholder({ default: given, kind }: Field): { placeholder?: string } {
  if (kind === "seed") return { placeholder: "random" };
  return given === undefined || given === "" ? {} : { placeholder: String(given) };
}

/** Bounds are the API's to refuse: nothing that was typed is changed. */
function FigureInput({ field, value, error, onChange }: FieldInputProps): ReactNode {
  const { min, max, multipleOf, kind } = field;
  return (
    <NumberInput
      {...labelled(field, error)}
      {...placeholder(field)}
      value={typeof value === "string" ? value : ""}
      onChange={(changed) => {
        onChange(String(changed));
      }}
      clampBehavior="none"
      step={multipleOf ?? (kind === "integer" ? 1 : 0.1)}
      {...(min !== undefined && { min, startValue: typeof field.default === "number" ? field.default : min })}
      {...(max !== undefined && { max })}
    />
  );
}

function TextualInput({ field, value, error, onChange }: FieldInputProps): ReactNode {
  const names = useModelNames(field.models);
  const text = typeof value === "string" ? value : "";
  const common = { ...labelled(field, error), ...placeholder(field), value: text };
  const take = (event: { currentTarget: { value: string } }): void => {
    onChange(event.currentTarget.value);
  };
  if (field.kind === "choice") {
    const unset =
      field.default === undefined ? (field.isRequired ? "Choose" : "Default") : `Default: ${field.default}`;
    const data = [
      { value: "", label: unset },
      ...(field.choices ?? []).map((choice) => ({ value: choice, label: choice })),
    ];
    return <NativeSelect {...common} data={data} onChange={take} />;
  }
  if (field.models !== undefined || field.choices !== undefined) {
    return <Autocomplete {...common} data={[...(field.choices ?? names)]} onChange={onChange} limit={200} />;
  }
  if (field.kind === "long-text")
    return <Textarea {...common} autosize minRows={2} maxRows={12} onChange={take} />;
  if (field.kind === "time") return <TextInput {...common} type="datetime-local" step={1} onChange={take} />;
  if (field.kind !== "seed") return <TextInput {...common} onChange={take} />;
  return (
    <TextInput
      {...common}
      inputMode="numeric"
      onChange={take}
      rightSection={
        <ActionIcon
          variant="subtle"
          aria-label="Draw a seed"
          onClick={() => {
            onChange(String(drawnSeed()));
          }}
        >
          <IconDice5 size={18} aria-hidden />
        </ActionIcon>
      }
    />
  );
}

const secretBytes = 32;

/** Shown, since a person has to give it to the receiver. */
function SecretInput({ field, value, error, onChange }: FieldInputProps): ReactNode {
  return (
    <TextInput
      {...labelled(field, error)}
      placeholder="whsec_…"
      autoComplete="off"
      spellCheck={false}
      value={typeof value === "string" ? value : ""}
      onChange={(event) => {
        onChange(event.currentTarget.value.trim());
      }}
      rightSection={
        <ActionIcon
          variant="subtle"
          aria-label="Draw a secret"
          onClick={() => {
            const bytes = crypto.getRandomValues(new Uint8Array(secretBytes));
            onChange(`whsec_${btoa(String.fromCharCode(...bytes))}`);
          }}
        >
          <IconDice5 size={18} aria-hidden />
        </ActionIcon>
      }
    />
  );
}

function TextsInput({ field, value, error, onChange }: FieldInputProps): ReactNode {
  const names = useModelNames(field.models);
  const texts = Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
  return (
    <TagsInput
      {...labelled(field, error)}
      data={[...(field.choices ?? names)]}
      value={texts}
      onChange={onChange}
      splitChars={[","]}
    />
  );
}

function fileOf(value: Value | undefined): FileValue | undefined {
  return typeof value === "object" && "id" in value ? value : undefined;
}

function isOutput(value: Value | undefined): value is OutputValue {
  return typeof value === "object" && "from" in value;
}

function entriesOf(value: Value | undefined): EntryValue[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.filter((entry): entry is EntryValue => typeof entry === "object" && entry !== null);
}
