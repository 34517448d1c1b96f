import { objectInfo, type RecordedVersion } from "@genga/comfyui-recordings";
import { type ApiVersion } from "../options.ts";
import { parsePythonJson } from "../python/python-json.ts";
import { isDict, type PythonDict, type PythonValue } from "../python/python-values.ts";

interface Recorded {
  readonly version: RecordedVersion;
  readonly name: string;
}

/** Where the definitions of each node pack were recorded. Custom nodes were recorded on the older server only. */
const recordedPacks: Readonly<Record<ApiVersion, Readonly<Record<string, readonly Recorded[]>>>> = {
  "0.3": {
    animatediff: [{ version: "0.3.64", name: "animatediff" }],
    core: [{ version: "0.3.64", name: "core" }],
    "recording-nodes": [{ version: "0.3.64", name: "recording-nodes" }],
    "telling-nodes": [{ version: "0.3.64", name: "telling-nodes" }],
    "video-helper-suite": [{ version: "0.3.64", name: "video-helper-suite" }],
  },
  "0.28": {
    animatediff: [{ version: "0.3.64", name: "animatediff" }],
    core: [
      { version: "0.28", name: "core" },
      { version: "0.28", name: "more-core" },
    ],
    "recording-nodes": [{ version: "0.28", name: "recording-nodes" }],
    "telling-nodes": [{ version: "0.28", name: "telling-nodes" }],
    "video-helper-suite": [{ version: "0.3.64", name: "video-helper-suite" }],
  },
};

/** The recorded definitions of some node packs, as a server of that version describes them. */
export function readNodeDefinitions(api: ApiVersion, packs: readonly string[]): Map<string, PythonDict> {
  const classes = new Map<string, PythonDict>();
  for (const [pack, recorded] of Object.entries(recordedPacks[api])) {
    if (!packs.includes(pack)) continue;
    for (const { version, name } of recorded) {
      const content = parsePythonJson(objectInfo(version, name));
      if (!isDict(content)) throw new TypeError(`the definitions of ${name} are not an object`);
      for (const [className, info] of content) {
        if (isDict(info)) classes.set(className, api === "0.28" ? asNewerServersSay(info) : info);
      }
    }
  }
  return classes;
}

/** Adds the fields that a server of 0.28 shows for every class, also for classes written for older servers. */
function asNewerServersSay(info: PythonDict): PythonDict {
  const added: [string, PythonValue][] = [
    ["is_input_list", false],
    ["has_intermediate_output", false],
    ["search_aliases", []],
  ];
  return new Map([...info, ...added.filter(([key]) => !info.has(key))]);
}
