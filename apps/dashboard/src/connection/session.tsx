import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, type ReactNode } from "react";
import { baseUrl, pageHeaders } from "./genga.ts";
import { errorOf } from "./api-errors.ts";

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
  return useQuery({ queryKey: sessionKey, queryFn: askSession, staleTime: 60_000, retry: 3 });
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
    onSettled: () => {
      forgetAll(queries);
      queries.setQueryData(sessionKey, null);
    },
  });
}

/** Whoever comes next may see less. The session itself stays, since the frame around all views looks at it. */
function forgetAll(queries: QueryClient): void {
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
