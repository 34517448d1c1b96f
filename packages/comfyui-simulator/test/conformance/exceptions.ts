/** A newer server is a real one, of a version that was not recorded. */
export type TargetName = "simulator" | "real server" | "newer server" | "door" | "door of three";

interface Exception {
  /** Only against this target; default all. What holds of a real server holds of a newer one, and of a farm also of one with three servers. */
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
  // What a farm says otherwise than one server, through its door for ComfyUI's clients.
  {
    target: "door",
    recording: /^(04|06|12|42|47|5[0-9])-/,
    text: / status 500 became (400|200)$/,
    reason: "crash bodies: a server fails (500) at a body that the door refuses, or takes as none",
  },
  {
    target: "door",
    recording: /./,
    text: / \[saves again\]$/,
    reason:
      "names: each attempt saves files under names of its own, so a node that saves is never taken from a cache",
  },
  {
    target: "door of three",
    recording: /./,
    text: / \[cached otherwise\]$/,
    reason: "each of several servers has a cache of its own",
  },
  {
    target: "door",
    recording: /^(03|41)-/,
    text: /^(POST \/free|free_memory).* \[cached otherwise\]$/,
    reason: "tenant scope: /free reaches no server",
  },
  {
    target: "door",
    recording: /^03-/,
    text: /^the output file is deleted on disk.*: GET \/view/,
    reason: "names: the file of the server is deleted, and the stored one is still there",
  },
  {
    target: "door",
    recording: /^03-/,
    text: /^cached re-run with no client_id: history only: (a message (progress_state|progress|executing|status)\b|GET \/history\/\S+ body\S+(filename|nodes))/,
    reason: "names: a node that saves is never taken from a cache, and all clients are told of its progress",
  },
  {
    target: "door",
    recording: /^04-/,
    text: /^unconnected invalid node that no output needs.* \[cached otherwise\]$/,
    reason: "partial graphs: the prompt before it, whose results are cached, is refused by a farm",
  },
  {
    target: "door",
    recording: /./,
    text: /(message feature_flags\.data|GET (\/api)?\/features body)(\.max_upload_size: 104857600 became 100663296|: keys assets,extension,.* became max_upload_size,supports_preview_metadata)/,
    reason:
      "tenant scope: the limit of a tenant's uploads; and the assets and web page of newer servers are not served",
  },
  {
    target: "door",
    recording: /./,
    text: /GET (\/api)?\/system_stats body: keys devices,system became devices,genga,system/,
    reason: "names: the door says that it is Genga",
  },
  {
    target: "door",
    recording: /./,
    text: /(\/object_info\/\w+ body|input_config)\S*: \{"float":(-?\d+)\} became \2( |$)/,
    reason: "the definitions are stored as JSON, where 6.0 is 6",
  },
  {
    target: "door",
    recording: /^26-/,
    text: /input_config\[1\]\.max: "18446744073709551615" became "18446744073709552000"/,
    reason: "the definitions are stored as JSON, whose numbers JavaScript rounds",
  },
  {
    target: "door",
    recording: /^(05|45)-/,
    text: /^(out-of-memory exception class|mode oom): \w+ message (execution_error\.data|executing\.data|status came late)/,
    reason:
      "a prompt that runs out of memory is tried once more before its client is told that it has failed",
  },
  {
    target: "door",
    recording: /^(09|13|47|50|59)-/,
    text: /: GET \/(queue|history\/\S+) body\S*(\[3\]|\.extra_data): keys [\w,]+ became (client_id,?)?(create_time,?)?(extra_pnginfo,?)?(preview_method)?$/,
    reason: "tenant scope: extra data that Genga does not know may be a secret, and is shown nowhere",
  },
  {
    target: "door",
    recording: /^(08|11|44)-/,
    text: /^(output over the socket|the same for the client with supports_preview_metadata|an output node without ui output|full-size images over the socket|the same without flags)[^:]*(:[^:]*)?: (\w+ (message|got|was)\b|text instead of binary|binary type|image (begins|format))/,
    reason:
      "SaveImageWebsocket runs as SaveImage: its pictures come from storage, without progress between them",
  },
  {
    target: "door",
    recording: /^(11|25)-/,
    text: /^(SaveImage, filename_prefix leaving the output folder: error at run time|filename_prefix \.\.\/\.\.\/out: execution_error): (a message (execution_error|executing|status came late)|GET \/history\/\S+ body)/,
    reason: "names: Genga gives the file a name inside of the output folder, so nothing fails",
  },
  {
    target: "door",
    recording: /^(11|51)-/,
    text: /^(SaveLatent|\/view of each): GET \/view\?\S+\.latent\S* begins with 30020000/,
    reason: "names: the file has the graph in it, with Genga's name of the file",
  },
  {
    target: "door",
    recording: /^(12|51|52)-/,
    text: /^(not an image: content is not looked at|\/view filename=x\.txt|\/view: what is refused: GET \/view\?filename=x\.txt|\/view: active content is a download: (POST \/upload\/image|GET \/view\?filename=x\.(svg|html|json|txt)&)|no file, empty name, not an image: POST \/upload\/image (status 4(15|00)|body: keys name)).*/,
    reason: "tenant scope: uploads are pictures and videos that jobs can use",
  },
  {
    target: "door",
    recording: /^(12|15|58)-/,
    text: /: GET (\/api)?\/models body/,
    reason: "the folders that a farm's servers may have, which lists do not tell apart",
  },
  {
    target: "door",
    recording: /^12-/,
    text: /^file name with \.\.\/: POST \/upload\/image/,
    reason: "names: folders in the name of an uploaded file are left out before anything looks at it",
  },
  {
    target: "door",
    recording: /^12-/,
    text: /&preview=jpeg begins with ffd8ffdb\S+ not ffd8ffe0/,
    reason: "which markers a JPEG begins with depends on who wrote it",
  },
  {
    target: "door",
    recording: /^12-/,
    text: /: GET \/api\/jobs (status 200|header content-type|has a body)/,
    reason: "the routes of newer servers are there, however old the servers of the farm are",
  },
  {
    target: "door",
    recording: /^(12|59)-/,
    text: /^Origin(:| check).*: GET \/prompt (header content-type: None became|has a body)/,
    reason: "the refusal of a foreign page says why",
  },
  {
    target: "door",
    recording: /^(12|59)-/,
    text: /(POST \/prompt|POST \/upload\/image) (text \{"error":\{"type":"body_too_large"|header content-type: text\/plain; charset=utf-8 became application\/json)/,
    reason: "tenant scope: other limits of bodies, and the refusal names them",
  },
  {
    target: "door",
    recording: /^28-/,
    text: /^(torch\.OutOfMemoryError raised in a node|the same graph again after it.*|a good graph after it|real CPU allocation failure.*): (a (message (execution_error\.data|executing\.data|execution_cached\.data|status came late)|was (not )?told)|GET \/history\/\S+ body\S+\.(meta|status))/,
    reason:
      "a prompt that runs out of memory is tried once more, after its server has forgotten what it has, before its client is told",
  },
  {
    target: "door",
    recording: /^15-/,
    text: /: GET \/history body: keys /,
    reason: "each case began on a fresh server, and a farm forgets nothing",
  },
  {
    target: "door",
    recording: /^26-/,
    text: /(\(accepted|: ACCEPTED with node_errors).*: a (message (progress_state|executing|execution_interrupted|execution_cached|executed|progress|status)\b|was (not )?told|got (nothing|a binary))/,
    reason:
      "times: the client interrupts as soon as it has the reply; what that hits is a race, and the recorded server took seconds for a step",
  },
  {
    target: "door",
    recording: /^25-/,
    text: /^video\/(8bit-png|nvenc_h264-mp4)\b.*(message executed\.data\.output|GET \/history\/\S+ body\S+)\.gifs\[0\]\.subfolder: "video" became ""/,
    reason: "names: the server cannot serve the file that it names, or it is empty, so it is not stored",
  },
  {
    target: "door",
    recording: /^25-/,
    text: /^video\/nvenc_h264-mp4\b.*: GET \/view\?\S+ (has a body|status 404|header \S+: .* became (null|application\/\S+))/,
    reason: "names: the server cannot serve the file that it names, or it is empty, so it is not stored",
  },
  {
    target: "door",
    recording: /^(05|45)-/,
    text: /^(two output branches: one saves, the other fails|one branch saves first, the other fails): (\w+ was not told in any order: \{"type":"executed"|GET \/history\/\S+ body\S+\.outputs: keys \d+ became $)/,
    reason:
      "partial graphs: files of a prompt that fails are not kept, those of the branch that was done as well",
  },
  {
    target: "door",
    recording: /^42-/,
    text: /^FLOAT given as the text "(inf|nan)".*: POST \/prompt/,
    reason:
      "crash bodies: a number that is none makes what a server tells everybody unreadable; the door refuses it",
  },
  {
    target: "door",
    recording: /^43d-/,
    text: /^COMBO with remote and no options: every constant refused: POST \/prompt (status 200|body: keys error,node_errors became)/,
    reason:
      "names: lists of files on servers are kept nowhere, and definitions do not say whether a class finds its files itself",
  },
  {
    target: "door",
    recording: /^47-/,
    text: /^one runs, three wait: GET \/queue body\.queue_pending\[1\]\[0\]: \d+ became \{"float":-5\}$/,
    reason: "times: the queue of a server is a heap, of which only the first is in order; here all are",
  },
  {
    target: "door of three",
    recording: /^40-/,
    text: /: GET \/system_stats body\.devices: /,
    reason: "names: the devices of all servers are listed, and numbered",
  },
  {
    target: "door",
    recording: /^40-/,
    text: /: GET \/system_stats body\.system\.comfy_package_versions: /,
    reason: "tenant scope: the packages of servers are not told",
  },
  {
    target: "door",
    recording: /^(40|59)-/,
    text: /: GET \/(global_subgraphs|internal\/files\/output|internal\/logs) /,
    reason: "tenant scope: routes of the web page, and the files and logs of servers",
  },
  {
    target: "door",
    recording: /^51-/,
    text: /\.md\S* header content-type: text\/markdown became text\/markdown; charset=utf-8$/,
    reason: "names: the encoding of a text is told as well",
  },
  {
    target: "door",
    recording: /^52-/,
    text: /^mask: POST \/upload\/mask body\.name: "m \(1\)\.png" became "m\.png"$/,
    reason: "names: the same picture with the same mask is one file",
  },
  {
    target: "door",
    recording: /^(47|48)-/,
    text: / message status (came early|came late|was not repeated) \[status order\]$/,
    reason:
      "times: the recorded client did all of this within a few milliseconds; how many prompts are left is told beside what servers say, and once",
  },
  {
    target: "door",
    recording: /^48-/,
    text: /^batch cancel: one running, one pending, one finished: A message (execution_interrupted|executing)\.data: keys /,
    reason: "times: the prompt does another step before its client has asked for all of that",
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
  if (only === undefined || only === target) return true;
  return (
    (only === "real server" && target === "newer server") || (only === "door" && target === "door of three")
  );
}
