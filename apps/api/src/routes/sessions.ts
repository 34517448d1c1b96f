import { actorOf, type Session } from "@genga/jobs";
import { type z } from "zod";
import { type Asker } from "../access/access.ts";
import { isFromElsewhere, requireOwnPage } from "../access/own-pages.ts";
import { clearSessionCookie, sessionTokensOf, setSessionCookie } from "../access/session-cookie.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { RefusedError } from "../http/problem-document.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { alreadySent, route } from "../routing/route.ts";
import { type sessionEntrySchema, type sessionViewSchema } from "../schemas/sessions.ts";

// A browser signs in once with a key, which it need not keep: a cookie that scripts cannot read then counts in its place.

type Parts = Pick<ApiDependencies, "access" | "sessions">;

/** Everybody may send this body, so little memory is given to it. */
const bodyBytesMax = 4_096;

export const getSession = route({
  id: "getSession",
  tag: "keys",
  method: "GET",
  path: "session",
  access: "open",
  summary: "Who the sender of this request is",
  description:
    "By the cookie or the key that it sends. Without a valid one `role` is null, and the answer is 200 all the same, so that a " +
    "page can ask whether it must sign in.",
  answers: { 200: { description: "The sender.", content: json("Session") } },
  problems: ["too-many-wrong-keys", "store-unavailable"],
  handler: async ({ request, response }, { access }: Parts) => ({
    json: viewOf(await access.whoAsks(request, response)),
  }),
});

export const signIn = route({
  id: "signIn",
  tag: "keys",
  method: "POST",
  path: "session",
  access: "open",
  summary: "Sign in with a key",
  description:
    "Sets the cookie `genga_session` (`__Host-genga_session` over TLS without a path in `PUBLIC_URL`), which counts in place of a key until the session ends: after 30 days, after 7 days without a " +
    "use (an operator may change both), when the session is ended, or when the key stops working. What changes anything " +
    "by this cookie must come from a page of this origin (`Origin`), with the header `X-Genga-Page: 1`. The session that the " +
    "request came with ends.",
  body: jsonObject("SignIn", { bytesMax: bodyBytesMax }),
  answers: {
    200: { description: "No key is needed, so no session was opened.", content: json("Session") },
    201: {
      description: "Signed in.",
      content: json("Session"),
      headers: { "Set-Cookie": { description: "The cookie of the session.", schema: { type: "string" } } },
    },
  },
  problems: [
    ...(["key-unknown", "too-many-wrong-keys", "origin-not-allowed", "limit-reached"] as const),
    ...(["invalid-request", "missing-field", "out-of-bounds", "store-unavailable"] as const),
  ],
  handler: async (
    { body: { apiKey }, request, response },
    parts: Parts & Pick<ApiDependencies, "admission">,
  ) => {
    const { access, sessions, admission } = parts;
    if (isFromElsewhere(request, response)) {
      throw new RefusedError("origin-not-allowed", "Only pages of this API's own origin may sign in here.");
    }
    if (await access.isKeyless()) {
      return { status: 200, json: viewOf(await access.whoAsks(request, response)) };
    }
    const principal = await access.checkKey(apiKey, request);
    if (!(await admission.admitAs(principal, request, response))) return alreadySent;
    const opened = await sessions.open(principal, apiKey, request.ip ?? "");
    if (opened === null) throw new RefusedError("key-unknown", "The API key is not known, or was revoked.");
    const { session, token } = opened;
    // The browser forgets the cookie that it came with.
    await sessions.signOut(sessionTokensOf(request));
    setSessionCookie(request, response, token, session.expiresAt);
    return {
      status: 201,
      json: viewOf({ principal, session, credential: { kind: "session", token } }),
    };
  },
});

export const signOut = route({
  id: "signOut",
  tag: "keys",
  method: "DELETE",
  path: "session",
  access: "open",
  summary: "Sign out",
  description:
    "Ends the session of the cookie, and clears the cookie. Other processes refuse it within 10 s. Needs `Origin` and `X-Genga-Page`, " +
    "as all that a cookie changes.",
  answers: { 204: { description: "Signed out, or there was no session." } },
  problems: ["origin-not-allowed", "store-unavailable"],
  handler: async ({ request, response }, { sessions }: Parts) => {
    const tokens = sessionTokensOf(request);
    if (tokens.length > 0) {
      requireOwnPage(request, response);
      await sessions.signOut(tokens);
    }
    clearSessionCookie(request, response);
    return { status: 204 };
  },
});

export const listSessions = route({
  id: "listSessions",
  tag: "keys",
  method: "GET",
  path: "sessions",
  access: "operate",
  summary: "Who is signed in, the last used first",
  description: "The sessions of all tenants that go on, at most 1,000.",
  answers: { 200: { description: "The sessions.", content: json("Sessions") } },
  handler: async ({ request, response }, { access, sessions }: Parts) => {
    const own = (await access.whoAsks(request, response))?.session;
    const living = await sessions.list();
    return { json: { sessions: living.map((session) => entryOf(session, own?.id)) } };
  },
});

export const endSession = route({
  id: "endSession",
  tag: "keys",
  method: "DELETE",
  path: "sessions/:id",
  access: "operate",
  subject: "session",
  summary: "End a session",
  description: "Every process refuses it within 10 s, and soon after that ends its event streams.",
  answers: { 204: { description: "It has ended." } },
  problems: ["session-not-found"],
  handler: async ({ id, absent, principal }, { sessions }: Parts) => {
    if (!(await sessions.end(id, actorOf(principal)))) throw absent();
    return { status: 204 };
  },
});

function viewOf(asker: Asker | undefined): z.infer<typeof sessionViewSchema> {
  const { principal, session, credential } = asker ?? {};
  return {
    id: session?.id ?? null,
    tenant: principal?.tenant.name ?? null,
    role: principal?.role ?? null,
    keyName: principal?.keyName ?? null,
    createdAt: session?.createdAt.toISOString() ?? null,
    expiresAt: session?.expiresAt.toISOString() ?? null,
    needsKey: credential?.kind !== "none",
  };
}

function entryOf(session: Session, ownId: string | undefined): z.infer<typeof sessionEntrySchema> {
  const { id, tenant, keyName, createdAt, lastUsedAt, idleUntil, expiresAt } = session;
  return {
    ...{ id, tenant: tenant.name, keyName, createdAt: createdAt.toISOString() },
    ...{ lastUsedAt: lastUsedAt.toISOString(), idleUntil: idleUntil.toISOString() },
    ...{ expiresAt: expiresAt.toISOString(), isOwn: id === ownId },
  };
}
