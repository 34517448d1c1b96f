import { useCallback, useEffect, useRef, useState } from "react";
import { useSession } from "../../connection/session.tsx";
import { type Values } from "./job-body.ts";
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

interface KeptDraft {
  readonly draft: Draft;
  readonly change: (change: Partial<Draft>) => void;
  readonly clear: () => void;
}

/** @param name what the draft is of; a component that gets another name must be a new one */
export function useDraft(name: string): KeptDraft {
  const { tenant } = useSession();
  const key = draftKey(tenant, name);
  const [draft, setDraft] = useState<Draft>(() => readDraft(key));
  const latest = useRef(draft);
  useEffect(() => {
    latest.current = draft;
    const timer = setTimeout(() => {
      writeDraft(key, draft);
    }, writeMs);
    return () => {
      clearTimeout(timer);
    };
  }, [key, draft]);
  useEffect(() => {
    const write = (): void => {
      writeDraft(key, latest.current);
    };
    window.addEventListener("pagehide", write);
    return () => {
      window.removeEventListener("pagehide", write);
      write();
    };
  }, [key]);
  const change = useCallback((part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
  }, []);
  const clear = useCallback(() => {
    setDraft(emptyDraft);
  }, []);
  return { draft, change, clear };
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
    else sessionStorage.setItem(key, JSON.stringify(draft));
  } catch {
    // Nothing else depends on it.
  }
}
