import {
  Badge,
  Button,
  Group,
  NativeSelect,
  SimpleGrid,
  Stack,
  Switch,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { useSession } from "../../connection/session.tsx";
import { EntryForm } from "../../parts/entry-form.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago, Moment } from "../../parts/times.tsx";
import { useChange } from "../../parts/use-change.ts";
import { confirm } from "./confirm.tsx";
import { keysKey, keysQuery, type Key } from "./settings-queries.ts";
import { tellSecret } from "./told-secret.tsx";

/** The keys that operators made. Keys that are configured with API_KEYS are not listed by the API. */
export function Keys(): ReactNode {
  const [showsRevoked, setShowsRevoked] = useState(false);
  const query = useQuery(keysQuery);
  const tell = ({ key, name }: { key: string; name: string }): void => {
    tellSecret(`The key ${name}`, key);
  };
  const rotate = useChange(async (id: string) => {
    tell(
      await dataOf(
        genga.http.POST("/api/anime/keys/{id}/rotate", { params: { path: { id } }, body: {} as never }),
      ),
    );
  }, keysKey);
  const revoke = useChange(
    (id: string) => genga.http.DELETE("/api/anime/keys/{id}", { params: { path: { id } } }),
    keysKey,
  );
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const keys = query.data.keys.filter(({ revokedAt }) => showsRevoked || revokedAt === null);
  const error = rotate.error ?? revoke.error;
  return (
    <Stack>
      {error !== null && <ErrorState error={error} />}
      <NewKey onTold={tell} />
      <Switch
        label="Show revoked keys"
        checked={showsRevoked}
        onChange={(event) => {
          setShowsRevoked(event.currentTarget.checked);
        }}
      />
      {keys.length === 0 ? (
        <EmptyState title="No keys" text="Keys that are configured with API_KEYS are not listed here." />
      ) : (
        <Table.ScrollContainer minWidth={760}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                {["Name", "Tenant", "May", "Last used", "Made"].map((title) => (
                  <Table.Th key={title}>{title}</Table.Th>
                ))}
                <Table.Th w={210}>Change</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {keys.map((key) => (
                <KeyRow key={key.id} of={key} onRotate={rotate.mutate} onRevoke={revoke.mutate} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}

interface KeyRowProps {
  readonly of: Key;
  readonly onRotate: (id: string) => void;
  readonly onRevoke: (id: string) => void;
}

function KeyRow({ of: key, onRotate, onRevoke }: KeyRowProps): ReactNode {
  const { id, name, tenant, role, lastUsedAt, createdAt, revokedAt, previousValidUntil } = key;
  return (
    <Table.Tr>
      <Table.Td>
        {name}
        {previousValidUntil !== null && (
          <Text size="xs" c="dimmed">
            The old value works until <Moment at={previousValidUntil} />
          </Text>
        )}
      </Table.Td>
      <Table.Td>{tenant}</Table.Td>
      <Table.Td>{role}</Table.Td>
      <Table.Td>{lastUsedAt === null ? "never" : <Ago at={lastUsedAt} />}</Table.Td>
      <Table.Td>
        <Ago at={createdAt} />
      </Table.Td>
      <Table.Td>
        {revokedAt !== null ? (
          <Badge color="gray" variant="light">
            revoked
          </Badge>
        ) : (
          <Group gap="xs" wrap="nowrap">
            <Button
              size="xs"
              variant="default"
              aria-label={`Rotate ${name}`}
              onClick={() => {
                confirm(
                  `Rotate the key ${name}?`,
                  "A new value is made and shown once. The old one goes on working for a day.",
                  "Rotate",
                  () => {
                    onRotate(id);
                  },
                );
              }}
            >
              Rotate
            </Button>
            <Button
              size="xs"
              variant="default"
              aria-label={`Revoke ${name}`}
              onClick={() => {
                confirm(
                  `Revoke the key ${name}?`,
                  "It stops working within seconds, with all sessions that were opened with it. This cannot be undone.",
                  "Revoke",
                  () => {
                    onRevoke(id);
                  },
                );
              }}
            >
              Revoke
            </Button>
          </Group>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function NewKey({ onTold }: { onTold: (told: { key: string; name: string }) => void }): ReactNode {
  const { tenant: own, id: session } = useSession();
  // Without a session nobody needs a key yet.
  const isFirst = session === null;
  const [name, setName] = useState("");
  const [tenant, setTenant] = useState(own);
  const [role, setRole] = useState<"read" | "submit" | "operate">(isFirst ? "operate" : "submit");
  const add = useChange(async () => {
    onTold(await dataOf(genga.http.POST("/api/anime/keys", { body: { name, tenant, role } })));
    setName("");
  }, keysKey);
  return (
    <EntryForm legend="A new key" action="Add the key" fields={["name", "tenant", "role"]} sending={add}>
      {(said) => (
        <>
          {isFirst && (
            <Text size="sm">
              Nobody needs a key here yet. With the first one everybody does, and this page asks you to sign
              in: begin with a key that may operate.
            </Text>
          )}
          <SimpleGrid cols={{ base: 1, xs: 3 }}>
            <TextInput
              label="Name"
              required
              value={name}
              error={said("name")}
              onChange={(event) => {
                setName(event.currentTarget.value);
              }}
            />
            <TextInput
              label="Tenant"
              required
              value={tenant}
              error={said("tenant")}
              onChange={(event) => {
                setTenant(event.currentTarget.value);
              }}
            />
            <NativeSelect
              label="May"
              value={role}
              error={said("role")}
              data={[
                { value: "read", label: "read: look at jobs" },
                { value: "submit", label: "submit: make jobs" },
                { value: "operate", label: "operate: everything" },
              ]}
              onChange={(event) => {
                setRole(event.currentTarget.value as typeof role);
              }}
            />
          </SimpleGrid>
        </>
      )}
    </EntryForm>
  );
}
