import { Anchor, AppShell, Burger, Group, NavLink, Text, Title, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconBook,
  IconLayoutDashboard,
  IconListDetails,
  IconPhotoPlus,
  IconServer2,
  IconSettings,
  IconStack2,
  IconTicket,
  IconHierarchy2,
} from "@tabler/icons-react";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, type ReactNode } from "react";
import { LiveFeed, useFeedState } from "../connection/live-feed.tsx";
import { OutageWatch, useOutage } from "../connection/outage.tsx";
import { identityOf, SessionProvider, useMay, useSessionQuery } from "../connection/session.tsx";
import { baseUrl } from "../connection/genga.ts";
import { ErrorState } from "../parts/error-state.tsx";
import { LoadingState } from "../parts/loading-state.tsx";
import { AccountMenu } from "./account-menu.tsx";
import { OutageNotice } from "./outage-notice.tsx";

/** Header and navigation around every view but the sign-in. Whoever has not signed in is asked to. */
export function Frame(): ReactNode {
  const session = useSessionQuery();
  const { href } = useLocation();
  if (session.data === null) return <ToSignIn from={href} />;
  if (session.data === undefined) {
    return session.isError ? (
      <ErrorState error={session.error} onRetry={() => void session.refetch()} />
    ) : (
      <LoadingState />
    );
  }
  return (
    <SessionProvider key={identityOf(session.data)} session={session.data}>
      <LiveFeed>
        <OutageWatch>
          <Shell />
        </OutageWatch>
      </LiveFeed>
    </SessionProvider>
  );
}

/** Once: while the other view is not there yet, this one is drawn again, with the address of the other. */
function ToSignIn({ from }: { from: string }): ReactNode {
  const navigate = useNavigate();
  const [next] = useState(from);
  useEffect(() => {
    void navigate({ to: "/sign-in", search: next === "/" ? {} : { next }, replace: true });
  }, [navigate, next]);
  return null;
}

function Shell(): ReactNode {
  const [isOpen, { toggle, close }] = useDisclosure();
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 200, breakpoint: "sm", collapsed: { mobile: !isOpen } }}
      padding="md"
    >
      <AppShell.Header>
        <Anchor href="#main" className="skip-link">
          To the content
        </Anchor>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
            <Title order={1} size="h4">
              <Link to="/" style={{ color: "inherit", textDecoration: "none" }}>
                Genga
              </Link>
            </Title>
          </Group>
          <Group gap="sm" wrap="nowrap">
            <FeedLight />
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" onClick={close} aria-label="Views">
        <Navigation />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <OutageNotice />
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

const views = [
  { to: "/", label: "Overview", icon: IconLayoutDashboard },
  { to: "/jobs", label: "Jobs", icon: IconListDetails },
  { to: "/batches", label: "Batches", icon: IconStack2 },
  { to: "/create", label: "Create", icon: IconPhotoPlus, role: "submit" },
  { to: "/servers", label: "Servers", icon: IconServer2 },
  { to: "/queue", label: "Queue", icon: IconHierarchy2 },
  { to: "/settings", label: "Settings", icon: IconSettings },
] as const;

function Navigation(): ReactNode {
  const { pathname } = useLocation();
  const may = useMay();
  return (
    <>
      {views
        .filter((view) => !("role" in view) || may(view.role))
        .map(({ to, label, icon: Icon }) => {
          const isHere = to === "/" ? pathname === "/" : pathname.startsWith(to);
          return (
            <NavLink
              key={to}
              renderRoot={(props) => <Link to={to} {...props} {...(isHere && { "aria-current": "page" })} />}
              label={label}
              leftSection={<Icon size={18} aria-hidden />}
              active={isHere}
            />
          );
        })}
      <NavLink
        href={`${baseUrl}/docs`}
        label="The API"
        leftSection={<IconBook size={18} aria-hidden />}
        mt="md"
      />
      {may("operate") && (
        <NavLink
          href={`${baseUrl}/admin/queues`}
          label="Bull Board"
          leftSection={<IconTicket size={18} aria-hidden />}
        />
      )}
    </>
  );
}

const lights = {
  live: { colour: "var(--mantine-color-teal-6)", text: "Live" },
  connecting: { colour: "var(--mantine-color-gray-6)", text: "Connecting" },
  away: { colour: "var(--mantine-color-red-6)", text: "Not connected" },
  old: { colour: "var(--mantine-color-red-6)", text: "Out of date" },
} as const;

/** Whether what is shown is live; its place is as wide in every state. */
function FeedLight(): ReactNode {
  const feed = useFeedState();
  // A stream stays open while the database is away, and then brings nothing.
  const isOld = useOutage() !== undefined && feed === "live";
  const { colour, text } = lights[isOld ? "old" : feed];
  return (
    <Tooltip label="Changes of jobs are shown as they happen, while the page is connected to the API.">
      <Group gap={6} wrap="nowrap" role="status" w={{ base: 20, xs: 120 }}>
        <span
          aria-hidden
          style={{ width: 10, height: 10, borderRadius: 5, background: colour, flex: "none" }}
        />
        <Text size="sm" visibleFrom="xs">
          {text}
        </Text>
      </Group>
    </Tooltip>
  );
}
