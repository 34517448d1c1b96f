/** What scripts can tell apart; docs/terminal.md lists them. */
export const exitCodes = {
  ok: 0,
  /** A job has not completed, or a file could not be fetched. */
  notCompleted: 1,
  /** The command line, or a file that it names, is wrong. */
  usage: 2,
  /** The API refused. */
  refused: 3,
  /** The API cannot be reached, or cannot answer now. */
  away: 4,
  /** `--timeout` is over. */
  timeout: 5,
  /** Ctrl-C, and the signals that end a process or its terminal, as shells count them. */
  interrupted: 130,
  terminated: 143,
  hungUp: 129,
} as const;

/** The command line, or a file that it names, is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something answers at the address that is not Genga's API. */
export class ForeignAnswerError extends Error {
  override readonly name = "ForeignAnswerError";
}
