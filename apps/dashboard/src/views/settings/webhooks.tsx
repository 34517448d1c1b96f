import { Badge, Button, Card, Checkbox, Group, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { dataOf, genga } from "../../connection/genga.ts";
import { useMay } from "../../connection/session.tsx";
import { EmptyState } from "../../parts/empty-state.tsx";
import { EntryForm } from "../../parts/entry-form.tsx";
import { ErrorState } from "../../parts/error-state.tsx";
import { LoadingState } from "../../parts/loading-state.tsx";
import { Ago } from "../../parts/times.tsx";
import { useChange } from "../../parts/use-change.ts";
import { confirm } from "./confirm.tsx";
import { Deliveries } from "./deliveries.tsx";
import { webhooksKey, webhooksQuery, type Webhook } from "./settings-queries.ts";
import { tellSecret } from "./told-secret.tsx";

/** URLs to which events of the tenant's jobs are sent. */
export function Webhooks(): ReactNode {
  const may = useMay();
  const query = useQuery(webhooksQuery);
  if (query.data === undefined) {
    return query.isError ? (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  const { webhooks } = query.data;
  return (
    <Stack maw={900}>
      {may("submit") && <NewWebhook />}
      {webhooks.length === 0 && (
        <EmptyState
          title="No webhooks"
          text="A webhook is told when jobs and batches end. Those of single jobs and batches are not listed here."
        />
      )}
      {webhooks.map((webhook) => (
        <OneWebhook key={webhook.id} webhook={webhook} />
      ))}
    </Stack>
  );
}

const secretTitle = "The secret that signs what is sent";
const reasons = {
  "by-request": "off",
  gone: "off: its receiver answered 410",
  failing: "off: nothing but failures came for days",
} as const;

function OneWebhook({ webhook }: { webhook: Webhook }): ReactNode {
  const { id, url, events, enabled, disabledReason, failingSince } = webhook;
  const mayChange = useMay()("submit");
  const [showsDeliveries, setShowsDeliveries] = useState(false);
  const path = { params: { path: { id } } };
  const act = useChange((action: () => Promise<unknown>) => action(), webhooksKey);
  const button = (label: string, action: () => Promise<unknown>, question?: string): ReactNode => (
    <Button
      size="xs"
      variant="default"
      aria-label={`${label}: ${url}`}
      disabled={act.isPending}
      onClick={() => {
        if (question === undefined) act.mutate(action);
        else {
          confirm(`${label}?`, question, label, () => {
            act.mutate(action);
          });
        }
      }}
    >
      {label}
    </Button>
  );
  return (
    <Card withBorder>
      <Stack gap="xs">
        <Group justify="space-between" align="flex-start">
          <Text fw={600} style={{ overflowWrap: "anywhere", flex: "1 1 200px" }}>
            {url}
          </Text>
          <Badge color={!enabled ? "gray" : failingSince === null ? "teal" : "orange"} variant="light">
            {enabled ? (failingSince === null ? "on" : "failing") : reasons[disabledReason ?? "by-request"]}
          </Badge>
        </Group>
        <Text size="sm" c="dimmed">
          {events.join(", ")}
          {failingSince !== null && (
            <>
              {" "}
              · failing since <Ago at={failingSince} />
            </>
          )}
        </Text>
        {mayChange && (
          <Group gap="xs">
            {button("Send a test", () => genga.http.POST("/api/anime/webhooks/{id}/test", path))}
            {button(enabled ? "Turn off" : "Turn on", () =>
              genga.http.PATCH("/api/anime/webhooks/{id}", { ...path, body: { enabled: !enabled } }),
            )}
            {button(
              "Rotate the secret",
              async () => {
                const init = { ...path, body: {} as never };
                tellSecret(
                  secretTitle,
                  (await dataOf(genga.http.POST("/api/anime/webhooks/{id}/rotate", init))).secret,
                );
              },
              "A new secret is made and shown once. For a day the old one signs as well.",
            )}
            {button(
              "Remove",
              () => genga.http.DELETE("/api/anime/webhooks/{id}", path),
              `${url} is told nothing any more, and its deliveries are forgotten.`,
            )}
          </Group>
        )}
        {act.isError && <ErrorState error={act.error} />}
        <Button
          size="xs"
          variant="subtle"
          style={{ alignSelf: "flex-start" }}
          aria-expanded={showsDeliveries}
          onClick={() => {
            setShowsDeliveries(!showsDeliveries);
          }}
        >
          {showsDeliveries ? "Hide the deliveries" : "Show the deliveries"}
        </Button>
        {showsDeliveries && <Deliveries webhookId={id} mayChange={mayChange} />}
      </Stack>
    </Card>
  );
}

const eventNames = [
  ...(["job.completed", "job.failed", "job.timeout", "job.cancelled", "batch.ended", "job.started"] as const),
];
type EventName = (typeof eventNames)[number];

function NewWebhook(): ReactNode {
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState<EventName[]>(eventNames.filter((name) => name !== "job.started"));
  const add = useChange(async () => {
    tellSecret(
      secretTitle,
      (await dataOf(genga.http.POST("/api/anime/webhooks", { body: { url, events } }))).secret,
    );
    setUrl("");
  }, webhooksKey);
  return (
    <EntryForm legend="A new webhook" action="Add the webhook" fields={["url", "events"]} sending={add}>
      {(said) => (
        <>
          <TextInput
            label="URL"
            required
            type="url"
            placeholder="https://example.com/genga"
            value={url}
            error={said("url")}
            onChange={(event) => {
              setUrl(event.currentTarget.value);
            }}
          />
          <Checkbox.Group
            label="It is told of"
            value={events}
            error={said("events")}
            onChange={(chosen) => {
              setEvents(eventNames.filter((name) => chosen.includes(name)));
            }}
          >
            <Group gap="sm" mt={4}>
              {eventNames.map((name) => (
                <Checkbox key={name} value={name} label={name} />
              ))}
            </Group>
          </Checkbox.Group>
        </>
      )}
    </EntryForm>
  );
}
