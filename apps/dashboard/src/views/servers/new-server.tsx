import {
  Button,
  Group,
  NativeSelect,
  PasswordInput,
  SimpleGrid,
  Stack,
  TagsInput,
  TextInput,
} from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type ReactNode, useRef, useState } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { EntryForm } from "../../parts/entry-form.tsx";
import { useChange } from "../../parts/use-change.ts";
import { bodyOf, type CredentialKind, emptyServer, type TypedServer } from "./typed-server.ts";

/** Adds a ComfyUI server to the farm. What is typed is kept nowhere, since it may be a password. */
export function NewServer(): ReactNode {
  const [isOpen, setIsOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  return (
    <>
      <Group>
        <Button
          ref={opener}
          size="compact-sm"
          variant="default"
          aria-expanded={isOpen}
          onClick={() => {
            setIsOpen(!isOpen);
          }}
        >
          Add a server
        </Button>
      </Group>
      {isOpen && (
        <NewServerForm
          onAdded={() => {
            setIsOpen(false);
            opener.current?.focus();
          }}
        />
      )}
    </>
  );
}

const credentialKinds: readonly { readonly value: CredentialKind; readonly label: string }[] = [
  { value: "none", label: "None" },
  { value: "basic", label: "User and password (Basic)" },
  { value: "bearer", label: "Token (Bearer)" },
  { value: "named", label: "Named in the workers' servers file" },
];

const fieldNames = ["url", "slots", "labels", "credential", "authorization"] as const;

function NewServerForm({ onAdded }: { onAdded: () => void }): ReactNode {
  const [typed, setTyped] = useState<TypedServer>(emptyServer);
  const change = (part: Partial<TypedServer>): void => {
    setTyped((before) => ({ ...before, ...part }));
  };
  const add = useChange(async () => {
    const { name } = await dataOf(genga.http.POST("/api/anime/servers", { body: bodyOf(typed) }));
    notifications.show({ color: "teal", message: `${name} is added: a worker takes it at once.` });
    onAdded();
  }, keys.servers());
  return (
    <EntryForm legend="A new server" action="Add the server" fields={fieldNames} sending={add}>
      {(said) => (
        <>
          <TextInput
            label="URL"
            required
            type="url"
            description="As the workers reach it: they send requests to this address."
            placeholder="http://gpu-3:8188"
            value={typed.url}
            error={said("url")}
            onChange={(event) => {
              change({ url: event.currentTarget.value });
            }}
          />
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextInput
              label="Slots"
              description="How many prompts it may hold."
              placeholder="as configured"
              inputMode="numeric"
              value={typed.slots}
              error={said("slots")}
              onChange={(event) => {
                change({ slots: event.currentTarget.value });
              }}
            />
            <TagsInput
              label="Labels"
              description="Jobs may require them. Enter adds one."
              placeholder={typed.labels.length === 0 ? "gpu:24gb" : ""}
              value={[...typed.labels]}
              error={said("labels")}
              onChange={(labels) => {
                change({ labels });
              }}
            />
          </SimpleGrid>
          <Credentials typed={typed} onChange={change} said={said} />
        </>
      )}
    </EntryForm>
  );
}

interface CredentialsProps {
  readonly typed: TypedServer;
  readonly onChange: (part: Partial<TypedServer>) => void;
  readonly said: (field: "authorization" | "credential") => string | undefined;
}

function Credentials({ typed: { kind, ...typed }, onChange, said }: CredentialsProps): ReactNode {
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }}>
      <NativeSelect
        label="Credentials"
        description="Kept encrypted, and shown nowhere."
        data={[...credentialKinds]}
        value={kind}
        error={kind === "none" ? (said("authorization") ?? said("credential")) : undefined}
        onChange={(event) => {
          const { value } = event.currentTarget;
          const chosen = credentialKinds.find((each) => each.value === value);
          onChange({ kind: chosen?.value ?? "none", password: "", token: "" });
        }}
      />
      {kind === "named" && (
        <TextInput
          label="Name of the credentials"
          description="In COMFYUI_SERVERS_FILE, which must list the origin of this URL with them."
          value={typed.credential}
          error={said("credential")}
          onChange={(event) => {
            onChange({ credential: event.currentTarget.value });
          }}
        />
      )}
      {kind === "bearer" && (
        <PasswordInput
          label="Token"
          description="Sent with each request."
          autoComplete="new-password"
          value={typed.token}
          error={said("authorization")}
          onChange={(event) => {
            onChange({ token: event.currentTarget.value });
          }}
        />
      )}
      {kind === "basic" && (
        <Stack gap="xs">
          <TextInput
            label="User"
            autoComplete="off"
            value={typed.user}
            error={said("authorization")}
            onChange={(event) => {
              onChange({ user: event.currentTarget.value });
            }}
          />
          <PasswordInput
            label="Password"
            autoComplete="new-password"
            value={typed.password}
            onChange={(event) => {
              onChange({ password: event.currentTarget.value });
            }}
          />
        </Stack>
      )}
    </SimpleGrid>
  );
}
