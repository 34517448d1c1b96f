import { GengaError } from "@genga/client";
import { Button, Fieldset, Group, Stack } from "@mantine/core";
import { useEffect, useRef, type ReactNode } from "react";
import { ErrorState } from "./error-state.tsx";

export interface EntryFormProps<Field extends string> {
  readonly legend: string;
  /** What its button says. */
  readonly action: string;
  /** Its fields, by their names in the body of the request. */
  readonly fields: readonly Field[];
  /** Sends it. */
  readonly sending: {
    readonly isPending: boolean;
    readonly error: unknown;
    readonly mutate: (nothing: undefined) => void;
  };
  /** @param said what was refused of a field */
  readonly children: (said: (field: Field) => string | undefined) => ReactNode;
}

/** A form that adds something: a refusal is shown at the fields that it names, and the first of them gets the focus. */
export function EntryForm<Field extends string>({
  legend,
  action,
  fields,
  sending: { isPending, error, mutate },
  children,
}: EntryFormProps<Field>): ReactNode {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [error]);
  const said = (field: Field): string | undefined => problemsOf(error, field);
  return (
    <Fieldset legend={legend} maw={700}>
      <form
        ref={form}
        noValidate
        autoComplete="off"
        onSubmit={(event) => {
          event.preventDefault();
          if (!isPending) mutate(undefined);
        }}
      >
        <Stack gap="sm">
          {children(said)}
          {error !== null && fields.every((field) => said(field) === undefined) && (
            <ErrorState error={error} />
          )}
          <Group>
            <Button type="submit" loading={isPending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Fieldset>
  );
}

/** What was refused of the field, or of a part of it. */
function problemsOf(error: unknown, field: string): string | undefined {
  if (!(error instanceof GengaError)) return undefined;
  const messages = error.problems.flatMap(({ path, message }) =>
    path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[`) ? [message] : [],
  );
  return messages.length === 0 ? undefined : [...new Set(messages)].join(", ");
}
