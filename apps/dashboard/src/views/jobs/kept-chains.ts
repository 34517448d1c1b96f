import { newChain, type PageChain } from "./page-chain.ts";

/** Where the pages of a list begin, for each place in the history of this tab: a reload and "back" show the same rows. */
interface KeptChain {
  readonly choice: string;
  readonly cursors: PageChain["cursors"];
}

const storageKey = "genga-job-lists";
/** Of the latest lists. */
const keptMax = 10;
/** Of 50,000 rows; of a longer list the place is not kept. */
const cursorsMax = 1_000;

let kept: Map<string, KeptChain> | undefined;

/** @param place of the history, as the router names it */
export function keptChain(place: string, choice: string): PageChain {
  const found = chains().get(place);
  return found?.choice === choice ? { cursors: found.cursors, lastRows: null } : newChain;
}

export function keepChain(place: string, choice: string, { cursors }: PageChain): void {
  const all = chains();
  all.delete(place);
  if (cursors.length > cursorsMax) return;
  all.set(place, { choice, cursors });
  const [oldest] = all.keys();
  if (all.size > keptMax && oldest !== undefined) all.delete(oldest);
}

function chains(): Map<string, KeptChain> {
  if (kept !== undefined) return kept;
  kept = new Map(readStored());
  addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(storageKey, JSON.stringify([...chains()]));
    } catch {
      // The storage is full or switched off: then a reload begins at the top.
    }
  });
  return kept;
}

function readStored(): [string, KeptChain][] {
  try {
    return JSON.parse(sessionStorage.getItem(storageKey) ?? "[]") as [string, KeptChain][];
  } catch {
    return [];
  }
}
