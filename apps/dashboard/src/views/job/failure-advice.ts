/** What a failure means, and what a person can do about it. */
export interface Advice {
  readonly meaning: string;
  readonly advice: string;
}

const uncharged = "Genga tries the job again by itself, on another server where there is one.";
const askOperator = "If it happens again, tell whoever runs the servers; the page Servers says how they are.";

/** By the code of the failure; codes are stable. docs/operations.md has the operator's side. */
const byCode: Readonly<Record<string, Advice>> = {
  "execution-failed": {
    meaning: "A node of the graph raised an exception while it ran.",
    advice:
      "Read the message and the traceback of the attempt, correct the node's inputs, and rerun with changes. Retry makes the same attempt again.",
  },
  "out-of-memory": {
    meaning: "The GPU did not have enough memory, also not after it was freed.",
    advice:
      "Rerun with a smaller size, fewer frames or fewer pictures at once, or on a server with a larger GPU.",
  },
  "prompt-refused": {
    meaning: "The server refused the graph, although its definitions allow it.",
    advice:
      "Look which input the message names. A file or model may have been removed from the servers since.",
  },
  "request-refused": { meaning: "The server refused a request of Genga.", advice: askOperator },
  "graph-malformed": {
    meaning: "The graph would harm the server, so it was not sent.",
    advice: "Correct the graph, and submit it again.",
  },
  "output-missing": {
    meaning: "The prompt has ended, but its server does not have a file that it named.",
    advice: `Retry the job. ${askOperator}`,
  },
  "result-unreadable": {
    meaning: "The prompt has ended, but its server cannot say how.",
    advice: `Retry the job. ${askOperator}`,
  },
  "result-refused": {
    meaning: "The outputs could not be taken over.",
    advice: "Read the message; fewer or smaller outputs may help.",
  },
  poison: {
    meaning: "Servers crashed or hung three times while they executed this job, so it is not tried any more.",
    advice:
      "Correct the graph or make it smaller, and rerun with changes. Retry only after the cause is removed.",
  },
  "prompt-stalled": {
    meaning: "A node ran for a long time without a sign of life, and was interrupted.",
    advice: uncharged,
  },
  "prompt-lost": {
    meaning: "The server does not know the prompt any more; it probably restarted.",
    advice: uncharged,
  },
  "device-failed": {
    meaning: "The GPU or the disk of the server is broken or full.",
    advice: `${uncharged} ${askOperator}`,
  },
  "prompt-interrupted": { meaning: "Somebody interrupted the prompt on its server.", advice: uncharged },
  "prompt-stuck": { meaning: "The server did not let go of the prompt.", advice: uncharged },
  "not-submitted": { meaning: "The prompt could not be given to the server.", advice: uncharged },
  "server-lost": { meaning: "The server could not be reached any more.", advice: uncharged },
  "server-abandoned": { meaning: "The server stayed away for too long.", advice: uncharged },
  "server-unreachable": { meaning: "The server could not be reached.", advice: uncharged },
  "server-failed": { meaning: "The server answered with an error of its own.", advice: uncharged },
  "connection-lost": { meaning: "The connection to the server broke.", advice: uncharged },
  "request-timeout": { meaning: "The server did not answer in time.", advice: uncharged },
  "bad-reply": {
    meaning: "Something else than ComfyUI answered in place of the server.",
    advice: askOperator,
  },
  "access-denied": {
    meaning: "A proxy in front of the server wants credentials.",
    advice: "Only an operator can solve this: the server's credentials have to be configured.",
  },
  "submit-outcome-unknown": {
    meaning: "It is not known whether the server took the prompt.",
    advice: uncharged,
  },
  "connector-closed": { meaning: "The worker stopped meanwhile.", advice: uncharged },
  "taken-back": {
    meaning: "The prompt waited at a busy server, and was taken back for one that stood empty.",
    advice: "Nothing: this is no failure, and does not count as an attempt.",
  },
  "given-back": {
    meaning:
      "The prompt waited at a server that was drained, recycled or taken out, and was given back for other servers.",
    advice: "Nothing: this is no failure, and does not count as an attempt.",
  },
  "deadline-passed": {
    meaning: "The job ran longer than its time limit.",
    advice: "Rerun with fewer steps or frames, or with a larger timeoutMs.",
  },
  expired: {
    meaning: "The job had not begun when its deadline for the queue (expiresAt) passed.",
    advice: "Rerun it with a later expiresAt or a higher priority, or add servers.",
  },
  "dependency-failed": {
    meaning: "A job that this one depends on has ended without success.",
    advice: "Retry that job: this one is queued again with it.",
  },
  "dependency-output": {
    meaning: "A file of a job that this one depends on could not be read.",
    advice: "Look whether that job still has its outputs, and make it again if it does not.",
  },
  "extra-data-missing": {
    meaning: "The secret part of extraData was erased when the job ended.",
    advice: "Rerun it and give extraData again.",
  },
  "extra-data-unreadable": {
    meaning: "The secret part of extraData cannot be decrypted.",
    advice: "SECRETS_KEY has changed since, or differs between processes: an operator has to set it right.",
  },
  "worker-error": {
    meaning: "The worker could not go on.",
    advice: `Retry the job. ${askOperator}`,
  },
  "output-empty": {
    meaning: "The server delivered an output without content.",
    advice: `Retry the job. ${askOperator}`,
  },
  "output-incomplete": {
    meaning: "An output broke off before it was complete.",
    advice: `Retry the job. ${askOperator}`,
  },
  "output-too-large": {
    meaning: "An output is larger than may be stored.",
    advice: "Rerun with a smaller size or fewer frames.",
  },
  "storage-full": {
    meaning: "The storage for outputs is full.",
    advice: "Remove jobs that nobody needs, or ask an operator for room; then retry.",
  },
  "storage-unavailable": {
    meaning: "The outputs could not be stored.",
    advice: `The disk or bucket for outputs may be full or away. ${askOperator}`,
  },
  "storage-refused": {
    meaning: "The storage refused the outputs.",
    advice: askOperator,
  },
};

/** For codes of a newer Genga. */
const byClass: Readonly<Record<string, Advice>> = {
  invalid: {
    meaning: "The job cannot run as it is.",
    advice: "Correct what the message names, and rerun with changes.",
  },
  execution: {
    meaning: "The job failed while it ran.",
    advice: "Read the message; retry, or rerun with changes.",
  },
  out_of_memory: byCode["out-of-memory"] ?? { meaning: "", advice: "" },
  server: { meaning: "The server or the way to it failed.", advice: uncharged },
  deadline: { meaning: "A time limit passed.", advice: "Rerun with less work or a larger limit." },
  dependency: byCode["dependency-failed"] ?? { meaning: "", advice: "" },
};

export function adviceOn({ code, class: failureClass }: { code: string; class: string }): Advice {
  const own = Object.hasOwn(byCode, code) ? byCode[code] : undefined;
  const ofClass = Object.hasOwn(byClass, failureClass) ? byClass[failureClass] : undefined;
  return (
    own ??
    ofClass ?? { meaning: "The job failed.", advice: "Read the message; retry, or rerun with changes." }
  );
}
