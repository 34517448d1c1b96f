import { listedModels, type ModelKind } from "@genga/comfyui";
import { type KnownServer } from "@genga/workflows";

/** A model, sampler or scheduler, and the servers that have it. */
export interface ListedName {
  kind: ModelKind;
  name: string;
  /** Ids. Many entries share one list. */
  servers: readonly string[];
}

export interface ModelCatalogue {
  /** Sorted by `keyOf`. */
  entries: readonly ListedName[];
  /** The servers whose definitions are known. */
  servers: readonly string[];
}

/** Longer names are left out; no file system has them. */
const nameMax = 1_000;

/** What the known servers have. It is built once for each change of their definitions. */
export class KnownModels {
  readonly #list: () => Promise<readonly KnownServer[]>;
  #names = new Map<string, ReturnType<typeof listedModels>>();
  #built: { of: string; catalogue: ModelCatalogue } | undefined;

  constructor(servers: { list: () => Promise<readonly KnownServer[]> }) {
    this.#list = () => servers.list();
  }

  /** @throws StoreUnavailableError */
  async catalogue(): Promise<ModelCatalogue> {
    const servers = await this.#list();
    const of = servers.map(({ id, definitionsHash }) => `${id} ${definitionsHash}`).join();
    if (this.#built?.of !== of) this.#built = { of, catalogue: this.#build(servers) };
    return this.#built.catalogue;
  }

  /** Servers with the same definitions have the same names, which are read once. */
  #build(servers: readonly KnownServer[]): ModelCatalogue {
    const names = new Map<string, ReturnType<typeof listedModels>>();
    const having = new Map<string, { kind: ModelKind; name: string; hashes: string[] }>();
    for (const { definitionsHash: hash, objectInfo } of servers) {
      if (names.has(hash)) continue;
      const ofHash = this.#names.get(hash) ?? listedModels(objectInfo);
      names.set(hash, ofHash);
      for (const [kind, ofKind] of ofHash) {
        for (const name of ofKind) {
          if (name.length > nameMax) continue;
          const key = keyOf({ kind, name });
          const entry = having.get(key) ?? { kind, name, hashes: [] };
          entry.hashes.push(hash);
          having.set(key, entry);
        }
      }
    }
    this.#names = names;
    const lists = new Map<string, readonly string[]>();
    const serversWith = (hashes: readonly string[]): readonly string[] => {
      const key = hashes.join();
      const list =
        lists.get(key) ??
        servers.flatMap(({ id, definitionsHash }) => (hashes.includes(definitionsHash) ? [id] : []));
      lists.set(key, list);
      return list;
    };
    const entries = [...having.entries()]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, { kind, name, hashes }]) => ({ kind, name, servers: serversWith(hashes) }));
    return { entries, servers: servers.map(({ id }) => id) };
  }
}

/** By this text the entries are sorted, and pages go on. */
export function keyOf({ kind, name }: Pick<ListedName, "kind" | "name">): string {
  return `${kind}/${name}`;
}
