import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, type ReactNode } from "react";
import { baseUrl, pageHeaders } from "./genga.ts";
import { errorOf, messageOf } from "./api-errors.ts";
import { liveJobs } from "./live-jobs.ts";

export type Role = "read" | "submit" | "operate";

/** Who uses the page. */
export interface Session {
  readonly tenant: string;
  readonly role: Role;
  readonly keyName: string;
  /** null where no key is needed */
  readonly id: string | null;
}

const Current = createContext<Session | undefined>(undefined);
const order: readonly Role[] = ["read", "submit", "operate"];
const againMs = 5_000;
const sessionKey = ["session"] as const;

/** Of a page that is shown to somebody who has signed in. */
export function useSession(): Session {
  const session = useContext(Current);
  if (session === undefined) throw new Error("Nobody has signed in.");
  return session;
}

/** Whether the person may do what needs this role; what may not be done is not shown. */
export function useMay(): (role: Role) => boolean {
  const { role } = useSession();
  return (needed) => order.indexOf(role) >= order.indexOf(needed);
}

export function SessionProvider({ session, children }: { session: Session; children: ReactNode }): ReactNode {
  return <Current value={session}>{children}</Current>;
}

/** null = nobody has signed in, and that is needed */
export function useSessionQuery(): ReturnType<typeof useQuery<Session | null>> {
  return useQuery({
    queryKey: sessionKey,
    queryFn: async ({ client }) => {
      const before = client.getQueryData<Session | null>(sessionKey);
      const session = await askSession();
      // Somebody may have signed in with another key in another tab.
      if (before !== undefined && identityOf(before) !== identityOf(session)) forgetAll(client);
      return session;
    },
    ...{ staleTime: 60_000, retry: 3 },
    // A page that was opened during an outage begins by itself when that ends.
    refetchInterval: ({ state }) => (state.status === "error" && state.data === undefined ? againMs : false),
  });
}

/** Differs for whoever may see or do something else. */
export function identityOf(session: Session | null): string {
  return session === null ? "" : JSON.stringify([session.tenant, session.id, session.keyName, session.role]);
}

export function useSignIn(): ReturnType<typeof useMutation<unknown, Error, string>> {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (apiKey: string) => send("POST", { apiKey }),
    onSuccess: async () => {
      forgetAll(queries);
      await queries.refetchQueries({ queryKey: sessionKey });
    },
  });
}

export function useSignOut(): ReturnType<typeof useMutation<unknown, Error, undefined>> {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => send("DELETE"),
    onSuccess: () => {
      forgetAll(queries);
      queries.setQueryData(sessionKey, null);
    },
    onError: (error) => {
      const { title, detail } = messageOf(error);
      notifications.show({ color: "red", title: "You are still signed in", message: detail || title });
    },
  });
}

/** Whoever comes next may see less. The session itself stays, since the frame around all views looks at it. */
function forgetAll(queries: QueryClient): void {
  liveJobs.clear();
  queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionKey[0] });
}

async function askSession(): Promise<Session | null> {
  const { role, ...session } = (await send("GET")) as Omit<Session, "role"> & { role: Role | null };
  return role === null ? null : { ...session, role };
}

/** Not by the client, which would send a key again and again after a refusal. */
async function send(method: "GET" | "POST" | "DELETE", body?: object): Promise<unknown> {
  const response = await fetch(`${baseUrl}/api/anime/session`, {
    ...{ method, credentials: "same-origin" },
    headers: { ...pageHeaders, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw await errorOf(response);
  return response.status === 204 ? null : response.json();
}
