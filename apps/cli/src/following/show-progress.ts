import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { type Terminal } from "../terminal/terminal.ts";
import { doingText, isEnded, labelOf, percentOf, remainingText, type State } from "./states.ts";

/** Shows how far jobs and batches are. */
export interface ProgressView {
  show(state: State): void;
  /** Called once, also after a failure. */
  close(): void;
}

/** A bar for each on a terminal; a line for each change where standard error is a file or a pipe; JSON lines with `--json`. */
export function openProgressView(terminal: Terminal): ProgressView {
  if (terminal.isJson)
    return {
      show: (state) => {
        terminal.json(state);
      },
      close: () => undefined,
    };
  return terminal.err.isTTY === true ? new Bars(terminal) : new Lines(terminal);
}

/** More are counted by one last line, and so are those for which a low terminal has no room. */
const barsMax = 20;

class Bars implements ProgressView {
  readonly #bars: MultiBar;
  readonly #max: number;
  readonly #byId = new Map<string, SingleBar>();
  /** Those without a bar, and whether each has ended. */
  readonly #others = new Map<string, boolean>();
  #othersBar: SingleBar | undefined;

  constructor(terminal: Terminal) {
    const { rows = 24 } = terminal.err as { rows?: number };
    this.#max = Math.max(1, Math.min(barsMax, rows - 3));
    this.#bars = new MultiBar(
      {
        ...{ stream: terminal.err, clearOnComplete: false, hideCursor: true },
        ...{ format: "{label} {bar} {percentage} %  {doing}  {remaining}", autopadding: true, barsize: 24 },
        ...{ forceRedraw: true, gracefulExit: false, linewrap: false },
      },
      Presets.shades_classic,
    );
  }

  show(state: State): void {
    const known = this.#byId.get(state.id);
    if (known === undefined && this.#byId.size >= this.#max) {
      this.#showOther(state);
      return;
    }
    const facts = { label: labelOf(state), doing: doingText(state), remaining: remainingText(state) };
    const bar = known ?? this.#bars.create(100, 0, facts);
    this.#byId.set(state.id, bar);
    bar.update(Math.floor(percentOf(state)), facts);
  }

  close(): void {
    this.#bars.stop();
  }

  #showOther(state: State): void {
    this.#others.set(state.id, isEnded(state));
    const ended = [...this.#others.values()].filter((hasEnded) => hasEnded).length;
    const facts = { label: `and ${this.#others.size} more`, doing: `${ended} ended`, remaining: "" };
    this.#othersBar ??= this.#bars.create(100, 0, facts);
    this.#othersBar.update(Math.floor((100 * ended) / this.#others.size), facts);
  }
}

/** Of a job that only moves on, a line for each tenth. */
class Lines implements ProgressView {
  readonly #terminal: Terminal;
  readonly #last = new Map<string, string>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(state: State): void {
    const tenth = Math.floor(percentOf(state) / 10);
    const doing = doingText(state);
    const said = isEnded(state) ? doing : `${tenth} ${doing.replace(/ \d+\/\d+$/, "")}`;
    if (this.#last.get(state.id) === said) return;
    this.#last.set(state.id, said);
    const parts = [labelOf(state), `${Math.floor(percentOf(state))} %`, doing, remainingText(state)];
    this.#terminal.note(parts.filter((part) => part !== "").join("  "));
  }

  close(): void {
    // Every line is written already.
  }
}
