import { type Comparison, type Outcome } from "./compare-verdicts.ts";

/** Counts the results of a check, and prints them with one example of each cause. */
export class CheckReport {
  readonly #outcomes = new Map<Outcome, number>();
  /** Heading → cause → examples. */
  readonly #findings = new Map<string, Map<string, string[]>>();
  #accepted = 0;
  #wrongPlaces = 0;
  #untrueWarnings = 0;

  add(name: string, comparison: Comparison, isAccepted: boolean): void {
    const { outcome, cause, message, isWrongPlace, untrueWarnings } = comparison;
    this.#outcomes.set(outcome, this.count(outcome) + 1);
    if (isAccepted) this.#accepted += 1;
    if (outcome !== "agreed") this.#note(outcome, cause, `${name}: ${message}`);
    if (isWrongPlace) {
      this.#wrongPlaces += 1;
      this.#note("wrong place", cause, `${name}: ${message}`);
    }
    for (const warning of untrueWarnings) {
      this.#untrueWarnings += 1;
      this.#note("untrue warning", warning.replace(/^Node \S+ /, ""), `${name}: ${warning}`);
    }
  }

  count(outcome: Outcome): number {
    return this.#outcomes.get(outcome) ?? 0;
  }

  /** Whether there was no false refusal and no false acceptance. */
  get isClean(): boolean {
    const faults = this.count("false refusal") + this.count("false acceptance");
    return faults + this.#wrongPlaces + this.#untrueWarnings === 0;
  }

  lines(): string[] {
    const lines: string[] = [];
    for (const [heading, causes] of [...this.#findings].sort()) {
      const sum = [...causes.values()].reduce((total, examples) => total + examples.length, 0);
      lines.push("", `${heading}: ${sum}`);
      for (const [cause, examples] of [...causes].sort((one, other) => other[1].length - one[1].length)) {
        lines.push(
          `  ${String(examples.length).padStart(4)}  ${cause}`,
          `        ${(examples[0] ?? "").slice(0, 300)}`,
        );
      }
    }
    const all = [...this.#outcomes.values()].reduce((sum, count) => sum + count, 0);
    lines.push(
      "",
      `${all} graphs, ${this.#accepted} accepted by the server; same verdict ${this.count("agreed")}, ` +
        `false refusals ${this.count("false refusal")}, false acceptances ${this.count("false acceptance")}, ` +
        `checks of the server's own ${this.count("check of the server's own")}, foreseen failures ${this.count("foreseen failure")}, right refusals ${this.count("right refusal")}, ` +
        `wrong places ${this.#wrongPlaces}, untrue warnings ${this.#untrueWarnings}`,
    );
    return lines;
  }

  #note(heading: string, cause: string, example: string): void {
    const causes = this.#findings.get(heading) ?? new Map<string, string[]>();
    this.#findings.set(heading, causes);
    causes.set(cause, [...(causes.get(cause) ?? []), example]);
  }
}
