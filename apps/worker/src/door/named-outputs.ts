import { type OutputReference, uncountedName, type Workflow } from "@genga/comfyui";
import { doorFileSource, type DoorFileName, type NewOutput, type UnnamedDoorFile } from "@genga/jobs";

/** A file within what a server says of a prompt's outputs. */
interface PlacedFile {
  reference: OutputReference;
  unnamed: UnnamedDoorFile;
}

/** Where files stand within a prompt's outputs, and the names that clients have for them. */
export class NamedOutputs {
  readonly #files: readonly PlacedFile[];
  readonly #names: ReadonlyMap<string, DoorFileName>;

  /**
   * @param references of the server, in the order of the stored outputs
   * @param nameAll gives the files their names, those that have some keep them
   */
  static async of(
    references: readonly OutputReference[],
    outputs: readonly NewOutput[],
    { workflow, socketNodes }: { workflow: Workflow; socketNodes: readonly string[] },
    nameAll: (files: readonly UnnamedDoorFile[]) => Promise<ReadonlyMap<string, DoorFileName>>,
  ): Promise<NamedOutputs> {
    const files = placedFiles(references, outputs, workflow).filter(
      ({ reference }) => !socketNodes.includes(reference.nodeId),
    );
    return new NamedOutputs(files, await nameAll(files.map(({ unnamed }) => unnamed)));
  }

  /** Of a prompt without a result. */
  static none(): NamedOutputs {
    return new NamedOutputs([], new Map());
  }

  private constructor(files: readonly PlacedFile[], names: ReadonlyMap<string, DoorFileName>) {
    this.#files = files;
    this.#names = names;
  }

  /** The name of the file that is the element `index` of the list under a key of a node; `undefined` = it is none, or has none. */
  find(nodeId: string, key: string, index: number): DoorFileName | undefined {
    const file = this.#files.find(
      ({ reference }) => reference.nodeId === nodeId && reference.key === key && reference.index === index,
    );
    return file && this.#names.get(file.unnamed.source);
  }
}

/** A place counts the stored outputs under one key of a node, as whoever reads them from the database counts them. */
function placedFiles(
  references: readonly OutputReference[],
  outputs: readonly NewOutput[],
  workflow: Workflow,
): PlacedFile[] {
  const counts = new Map<string, number>();
  return references.flatMap((reference, place) => {
    const { nodeId, key } = reference;
    const list = JSON.stringify([nodeId, key]);
    const index = counts.get(list) ?? 0;
    counts.set(list, index + 1);
    const filename = outputs[place]?.filename ?? null;
    if (reference.kind !== "file" || filename === null) return [];
    const source = doorFileSource({ nodeId, key, index });
    return [
      { reference, unnamed: { source, type: reference.type, ...uncountedName(filename, workflow[nodeId]) } },
    ];
  });
}
