import { Button, Group, NativeSelect, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { GengaError } from "@genga/client";
import { dataOf, genga } from "../../connection/genga.ts";
import { useSession } from "../../connection/session.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { useChange } from "../../parts/use-change.ts";
import { keysQuery } from "./settings-queries.ts";

const fields = [
  ["jobsQueuedMax", "Waiting jobs"],
  ["jobsRunningMax", "Running jobs"],
  ["requestsPerMinute", "Requests a minute"],
  ["requestsAtOnce", "Requests at once"],
  ["streamsMax", "Event streams"],
  ["weight", "Share of GPU time"],
] as const;
type FieldName = (typeof fields)[number][0];

const limitsKey = (tenant: string) => ["tenant-limits", tenant] as const;

/** The limits of each tenant that has a key. */
export function Limits(): ReactNode {
  const own = useSession().tenant;
  const keys = useQuery(keysQuery);
  const [tenant, setTenant] = useState(own);
  const tenants = [...new Set([own, ...(keys.data?.keys ?? []).map((key) => key.tenant)])].toSorted();
  const query = useQuery({
    queryKey: limitsKey(tenant),
    queryFn: ({ signal }) =>
      dataOf(
        genga.http.GET("/api/anime/tenants/{name}/limits", { params: { path: { name: tenant } }, signal }),
      ),
  });
  return (
    <Stack maw={700}>
      <NativeSelect
        label="Tenant"
        data={tenants}
        value={tenant}
        onChange={(event) => {
          setTenant(event.currentTarget.value);
        }}
      />
      {query.data !== undefined ? (
        <Choices key={tenant} tenant={tenant} choices={query.data.choices} limits={query.data.limits} />
      ) : query.isError ? (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      ) : (
        <LoadingState />
      )}
    </Stack>
  );
}

interface ChoicesProps {
  readonly tenant: string;
  readonly choices: Readonly<Partial<Record<FieldName, number | null>>>;
  readonly limits: Readonly<Record<FieldName, number | null>>;
}

function Choices({ tenant, choices, limits }: ChoicesProps): ReactNode {
  const [typed, setTyped] = useState<Partial<Record<FieldName, string>>>({});
  const textOf = (name: FieldName): string => typed[name] ?? String(choices[name] ?? "");
  const save = useChange(async () => {
    const body = Object.fromEntries(fields.map(([name]) => [name, numberOrNull(textOf(name))]));
    await genga.http.PUT("/api/anime/tenants/{name}/limits", {
      params: { path: { name: tenant } },
      body: body as never,
    });
    setTyped({});
  }, limitsKey(tenant));
  const problems =
    save.error instanceof GengaError ? save.error.byField : new Map<string, { message: string }[]>();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!save.isPending) save.mutate(undefined);
      }}
    >
      <Stack>
        <SimpleGrid cols={{ base: 1, xs: 2, sm: 3 }}>
          {fields.map(([name, label]) => (
            <TextInput
              key={name}
              label={label}
              description={`Holds now: ${limits[name] ?? "no limit"}`}
              placeholder="default"
              inputMode="decimal"
              value={textOf(name)}
              error={problems
                .get(name)
                ?.map(({ message }) => message)
                .join(", ")}
              onChange={(event) => {
                setTyped({ ...typed, [name]: event.currentTarget.value });
              }}
            />
          ))}
        </SimpleGrid>
        <Text size="sm" c="dimmed">
          An empty field means the default. Limits hold in all processes within seconds; accepted jobs stay
          accepted.
        </Text>
        {save.isError && problems.size === 0 && <ErrorState error={save.error} />}
        <Group>
          <Button type="submit" loading={save.isPending}>
            Save
          </Button>
          {save.isSuccess && Object.keys(typed).length === 0 && <Text role="status">Saved.</Text>}
        </Group>
      </Stack>
    </form>
  );
}

/** What is no number is sent as it was typed, for the API to refuse. */
function numberOrNull(text: string): number | string | null {
  if (text.trim() === "") return null;
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}
