export type SignalName = "KILL" | "TERM" | "INT" | "STOP" | "CONT";

/** What a note says was done to the recorded server; the two recorders worded it differently. */
export type Deed =
  | { readonly kind: "delete"; readonly file: string }
  | { readonly kind: "signal"; readonly name: SignalName }
  | { readonly kind: "restart" };

const signalNote = /^(?:signal SIG(KILL|TERM|INT) sent|\(recorder\) SIG(KILL|TERM))$/;
const restartNote = /^(?:restarted|\(recorder\) (?:refused \d+ times, then answered|fresh server))/;

export function deedOf(note: string): Deed | undefined {
  const file = /^deleted (.*)$/.exec(note)?.[1];
  if (file !== undefined) return { kind: "delete", file };
  if (note === "frozen") return { kind: "signal", name: "STOP" };
  if (note === "continued") return { kind: "signal", name: "CONT" };
  const name = signalNote.exec(note)?.slice(1).find(Boolean);
  if (name === "KILL" || name === "TERM" || name === "INT") return { kind: "signal", name };
  return restartNote.test(note) ? { kind: "restart" } : undefined;
}
