import { useCallback, useSyncExternalStore } from "react";
import { useSession } from "../../connection/session.tsx";
import { type Values, withoutSecrets } from "./job-body.ts";
import { emptySweep, type SweepDraft } from "./sweep-body.ts";

/** What was typed, and not yet submitted; it survives a reload, and signing in again, in this tab of the browser. */
interface Draft {
  readonly values: Values;
  /** The graph, as text. */
  readonly workflow: string;
  readonly sweep: SweepDraft;
}

const emptyDraft: Draft = { values: {}, workflow: "", sweep: emptySweep };
const writeMs = 200;

type Change = (before: Draft) => Partial<Draft>;

interface KeptDraft {
  readonly draft: Draft;
  /** May be called at any time, also once the form is not shown any more: an upload ends when it ends. */
  readonly change: (change: Change) => void;
  readonly clear: () => void;
}

/** A draft that a form shows, showed, or will show. */
interface Kept {
  draft: Draft;
  timer: ReturnType<typeof setTimeout> | undefined;
  readonly listeners: Set<() => void>;
}

const keptDrafts = new Map<string, Kept>();

/** @param name what the draft is of; a component that gets another name must be a new one */
export function useDraft(name: string): KeptDraft {
  const { tenant } = useSession();
  const key = draftKey(tenant, name);
  const subscribe = useCallback(
    (listener: () => void) => {
      const { listeners } = keptOf(key);
      const write = (): void => {
        writeDraft(key, keptOf(key).draft);
      };
      listeners.add(listener);
      window.addEventListener("pagehide", write);
      return () => {
        listeners.delete(listener);
        window.removeEventListener("pagehide", write);
        write();
      };
    },
    [key],
  );
  const draft = useSyncExternalStore(subscribe, () => keptOf(key).draft);
  const change = useCallback(
    (part: Change) => {
      const { draft: before } = keptOf(key);
      replaceDraft(key, { ...before, ...part(before) });
    },
    [key],
  );
  const clear = useCallback(() => {
    replaceDraft(key, emptyDraft);
  }, [key]);
  return { draft, change, clear };
}

function keptOf(key: string): Kept {
  const kept = keptDrafts.get(key) ?? { draft: readDraft(key), timer: undefined, listeners: new Set() };
  keptDrafts.set(key, kept);
  return kept;
}

function replaceDraft(key: string, draft: Draft): void {
  const kept = keptOf(key);
  kept.draft = draft;
  kept.timer ??= setTimeout(() => {
    kept.timer = undefined;
    writeDraft(key, kept.draft);
  }, writeMs);
  for (const listener of kept.listeners) listener();
}

function draftKey(tenant: string, name: string): string {
  return `genga-draft:${tenant}:${name}`;
}

function readDraft(key: string): Draft {
  try {
    const parsed = JSON.parse(sessionStorage.getItem(key) ?? "{}") as Partial<Draft>;
    return { ...emptyDraft, ...parsed, sweep: { ...emptySweep, ...parsed.sweep } };
  } catch {
    return emptyDraft;
  }
}

/** The storage may be full, or switched off: then a reload begins anew. */
function writeDraft(key: string, draft: Draft): void {
  try {
    if (draft === emptyDraft) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify({ ...draft, values: withoutSecrets(draft.values) }));
  } catch {
    // Nothing else depends on it.
  }
}
