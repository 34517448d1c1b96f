import { Stack, Tabs, Title } from "@mantine/core";
import { useNavigate, useParams } from "@tanstack/react-router";
import { type ComponentType, type ReactNode } from "react";
import { useMay, type Role } from "../../connection/session.tsx";
import { About } from "./about.tsx";
import { AuditEvents } from "./audit-events.tsx";
import { Keys } from "./keys.tsx";
import { Limits } from "./limits.tsx";
import { Retention } from "./retention.tsx";
import { Sessions } from "./sessions.tsx";
import { Webhooks } from "./webhooks.tsx";

interface Section {
  readonly title: string;
  readonly role: Role;
  readonly view: ComponentType;
}

const sections: Readonly<Record<string, Section>> = {
  webhooks: { title: "Webhooks", role: "read", view: Webhooks },
  keys: { title: "API keys", role: "operate", view: Keys },
  sessions: { title: "Sessions", role: "operate", view: Sessions },
  limits: { title: "Limits", role: "operate", view: Limits },
  audit: { title: "Who did what", role: "operate", view: AuditEvents },
  retention: { title: "Retention", role: "read", view: Retention },
  about: { title: "About", role: "read", view: About },
};

/** Each section has an address of its own; what a role may not do is not shown. */
export function Settings(): ReactNode {
  const may = useMay();
  const navigate = useNavigate();
  const { section } = useParams({ strict: false });
  const shown = Object.entries(sections).filter(([, { role }]) => may(role));
  const [name, chosen] = shown.find(([each]) => each === section) ?? shown[0] ?? [];
  if (name === undefined || chosen === undefined) return null;
  const View = chosen.view;
  return (
    <Stack>
      <Title order={2}>Settings</Title>
      <Tabs
        value={name}
        onChange={(next) => {
          if (next !== null) void navigate({ to: "/settings/$section", params: { section: next } });
        }}
      >
        <Tabs.List mb="md" aria-label="Settings">
          {shown.map(([each, { title }]) => (
            <Tabs.Tab key={each} value={each}>
              {title}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={name}>
          <View />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}
