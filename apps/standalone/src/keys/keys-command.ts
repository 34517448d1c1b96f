import { parseArgs } from "node:util";
import { isKeyName, isTenantName, roles, type AccessKey, type KeyStore, type ToldKey } from "@genga/jobs";

export const keysUsage = `npm run keys -- list                     the keys that were made, newest first
npm run keys -- add NAME                 make one: what to send is shown this once
  --role read|submit|operate             what it may do (default submit)
  --tenant TENANT                        whose jobs it is about (default: default)
npm run keys -- rotate NAME|ID           have it be sent in a new way
  --overlap-minutes 1440                 for how long the old way goes on (default: a day; 0 = not at all)
npm run keys -- revoke NAME|ID           refuse it from now on, in every process within 10 s`;

/** The arguments of the command are not valid. */
export class KeysUsageError extends Error {
  override readonly name = "KeysUsageError";
}

const actor = { keyName: "npm run keys", tenantId: null };
const minuteMs = 60_000;
const overlapMinutesMax = 30 * 24 * 60;

/**
 * Runs the command in the arguments, and returns the text to print.
 * @throws KeysUsageError @throws KeyNameTakenError @throws StoreUnavailableError
 */
export async function runKeysCommand(args: string[], keys: KeyStore): Promise<string> {
  const { values, positionals } = readArguments(args);
  const [action = "", name, ...rest] = positionals;
  if (rest.length > 0) throw new KeysUsageError(`"${rest[0] ?? ""}" is one argument too many.`);
  switch (action) {
    case "list":
      return tableOf(await keys.listKeys());
    case "add":
      return tell(await keys.addKey(newKeyOf(name, values), actor), "It is valid from now on.");
    case "rotate": {
      const overlapMs = overlapOf(values["overlap-minutes"]);
      const told = await keys.rotateKey((await find(keys, name)).id, overlapMs, actor);
      if (told === null) throw new KeysUsageError("The key was revoked meanwhile.");
      const until = told.accessKey.previousValidUntil?.toISOString();
      return tell(
        told,
        until === undefined ? "The old key is no longer valid." : `The old key stays valid until ${until}.`,
      );
    }
    case "revoke": {
      const { id, name: revoked } = await find(keys, name);
      await keys.revokeKey(id, actor);
      return `The key "${revoked}" is revoked; every process refuses it within 10 s.`;
    }
    default:
      throw new KeysUsageError(action === "" ? "" : `"${action}" is not known.`);
  }
}

type Values = ReturnType<typeof readArguments>["values"];

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        role: { type: "string", default: "submit" },
        tenant: { type: "string", default: "default" },
        "overlap-minutes": { type: "string", default: String(24 * 60) },
      },
    });
  } catch (error) {
    throw new KeysUsageError(error instanceof Error ? error.message : String(error));
  }
}

function newKeyOf(
  name: string | undefined,
  values: Values,
): { name: string; tenantName: string; role: AccessKey["role"] } {
  const role = roles.find((each) => each === values.role);
  if (name === undefined || !isKeyName(name)) {
    throw new KeysUsageError(
      "NAME is 1 to 64 letters, digits, spaces, dots, hyphens or underscores, a letter or digit first.",
    );
  }
  if (role === undefined) throw new KeysUsageError(`--role is one of ${roles.join(", ")}.`);
  if (!isTenantName(values.tenant)) {
    throw new KeysUsageError(
      "--tenant takes lower-case letters, digits and hyphens, at most 63, and no role's name.",
    );
  }
  return { name, tenantName: values.tenant, role };
}

function overlapOf(text: string): number {
  const minutes = Number(text);
  if (!/^\d+$/.test(text) || minutes > overlapMinutesMax) {
    throw new KeysUsageError(`--overlap-minutes takes a whole number from 0 to ${overlapMinutesMax}.`);
  }
  return minutes * minuteMs;
}

/** Finds a valid key by its id or by its name, which no other valid key has. */
async function find(keys: KeyStore, nameOrId: string | undefined): Promise<AccessKey> {
  if (nameOrId === undefined) throw new KeysUsageError("Say which key: its name or its id.");
  const found = (await keys.listKeys()).find(
    ({ id, name, revokedAt }) => revokedAt === null && (id === nameOrId || name === nameOrId),
  );
  if (found === undefined) throw new KeysUsageError(`There is no valid key "${nameOrId}".`);
  return found;
}

function tell({ accessKey, key }: ToldKey, what: string): string {
  const { name, tenant, role } = accessKey;
  return `${key}\n\nThis is the key "${name}" (tenant ${tenant.name}, role ${role}). ${what} It is not shown again.`;
}

function tableOf(keys: AccessKey[]): string {
  if (keys.length === 0) return "No key was made yet. Keys of API_KEYS are not listed.";
  const rows = keys.map((key) => [
    key.name,
    key.tenant.name,
    key.role,
    stateOf(key),
    key.lastUsedAt === null ? "never" : key.lastUsedAt.toISOString(),
    key.id,
  ]);
  const all = [["NAME", "TENANT", "ROLE", "STATE", "LAST USED", "ID"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function stateOf({ revokedAt, previousValidUntil }: AccessKey): string {
  if (revokedAt !== null) return `revoked ${revokedAt.toISOString()}`;
  const isRotating = previousValidUntil !== null && previousValidUntil.getTime() > Date.now();
  return isRotating ? `old key valid until ${previousValidUntil.toISOString()}` : "valid";
}
