/** A newer server is a real one, of a version that was not recorded. */
export type TargetName = "simulator" | "real server" | "newer server";

interface Exception {
  /** Only against this target; default all. What holds of a real server holds of a newer one. */
  readonly target?: TargetName;
  readonly recording: RegExp;
  /** Fits the text of a difference, which begins with the title of its case. */
  readonly text: RegExp;
  readonly reason: string;
}

/** Every difference that is allowed, and why. */
const exceptions: readonly Exception[] = [
  {
    recording: /^05/,
    text: /^(two output branches: one saves, the other fails|the same failing prompt again)/,
    reason: "which output node comes first is random; it decides what has run when the other one fails",
  },
  {
    recording: /^12/,
    text: /GET \/object_info\/LoadImage body\.LoadImage\.input\.required\.image\[0\]/,
    reason: "the recorded server had files from an earlier recording",
  },
  {
    recording: /^(12|20)/,
    text: /GET \/system_stats body\.system: keys argv,comfyui_version,python_version/,
    reason: "the recording was shortened here",
  },
  {
    target: "real server",
    recording: /^(04|12|26)/,
    text: /(input_config\[1\]: keys .* became .*tooltip|\/object_info\/\w+ body\.\w+: keys .* became .*description)/,
    reason: "descriptions and tooltips were cut out of the recording",
  },
  {
    recording: /^15/,
    text: /^two waiting prompts with the same number AND the same prompt_id: w2 message/,
    reason:
      "whether the first prompt has begun when the next one comes is a race; the recorded server had just started",
  },
  {
    target: "simulator",
    recording: /^(40|59)/,
    text: /: GET \/(global_subgraphs|internal\/files\/output|internal\/logs) /,
    reason: "routes of the web page are left out of the simulator",
  },
  {
    recording: /^47/,
    text: /: GET \/queue body\.queue_pending\[0\]\[0\]/,
    reason:
      "the recorded server's counter stood at 233, so its prompt at the front came before the one with -5",
  },
  {
    recording: /^48/,
    text: /: GET \/api\/jobs\?sort_by=execution_duration/,
    reason: "which of several trivial prompts took longer is chance",
  },
  {
    recording: /^49/,
    text: /^the same id while it runs and while it waits: GET \/api\/jobs body\.jobs/,
    reason: "the replay posts within one millisecond what the list is sorted by",
  },
  {
    recording: /^52/,
    text: /: POST \/upload\/image body\.name: "up \(2\)\.png" became "up\.png"/,
    reason: "which bytes were uploaded was not recorded, only how many",
  },
  {
    target: "simulator",
    recording: /^26/,
    text: /^.*(\(accepted|: ACCEPTED with node_errors).*: a /,
    reason: "the client interrupts as soon as it has the reply; what that hits is a race",
  },
  {
    target: "real server",
    recording: /^24/,
    text: /^odd size 65x63.*exception_message: .*avcodec_open2.* became .*avcodec_open2/,
    reason: "the text of the video library, which differs with its version",
  },
  {
    target: "real server",
    recording: /^29/,
    text: /^image to image, the file is not there yet: rejected: POST \/prompt (status 200|body)/,
    reason: "an earlier run on this server has uploaded the file",
  },
  {
    target: "real server",
    recording: /^04/,
    text: /^model loader with a model file that is not there: .* not in \[\]/,
    reason: "lists the model folders and files that this server has",
  },
  {
    target: "real server",
    recording: /^52/,
    text: /: GET \/assets /,
    reason: "a folder of the web page, which the recorded server did not have",
  },
  {
    target: "real server",
    recording: /^52/,
    text: /^mask: POST \/upload\/mask body\.name/,
    reason: "an earlier run on this server has uploaded the file",
  },
  {
    target: "real server",
    recording: /^58/,
    text: /client_id.*: a reply came$/,
    reason: "whether the reply still leaves before the process ends is a race",
  },
  {
    target: "real server",
    recording: /^(48|54)/,
    text: /^(batch cancel: one running, one pending, one finished|killed \(SIGKILL\) in mid-run): A message status\b/,
    reason:
      "how far the first prompt is when the next one is posted is a race, which moves the queue's status",
  },
  {
    target: "newer server",
    recording: /^40/,
    text: /GET \/system_stats body\.system\.comfy_package_versions/,
    reason: "a newer server needs newer packages",
  },
  {
    target: "newer server",
    recording: /^43d/,
    text: /^V3 COMBO is checked: SaveVideo format webm: POST \/prompt/,
    reason: "0.33 saves WebM",
  },
  {
    target: "newer server",
    recording: /^(48|49)/,
    text: /keys .* became .*,previewable_outputs_count,/,
    reason: "0.33 counts the outputs that can be shown",
  },
  {
    target: "real server",
    recording: /^12/,
    text: /GET (\/api)?\/(models|embeddings|extensions)/,
    reason: "lists the model folders and files that this server has",
  },
];

/** Why a difference is allowed; undefined if it is not. */
export function knownReason(target: TargetName, recording: string, text: string): string | undefined {
  return exceptions.find(
    (exception) =>
      holdsFor(target, exception) && exception.recording.test(recording) && exception.text.test(text),
  )?.reason;
}

function holdsFor(target: TargetName, exception: Exception): boolean {
  const { target: only } = exception;
  return only === undefined || only === target || (only === "real server" && target === "newer server");
}
