import { type Database } from "@genga/database";
import { type Tenant } from "@genga/jobs";
import { isLoopback, type Logger, type ServiceConfiguration } from "@genga/runtime";
import { type Metrics } from "../http/metrics.ts";
import { Access } from "./access.ts";
import { KeyWatch } from "./key-watch.ts";
import { MadeKeys, type MadeKeysOptions } from "./made-keys.ts";
import { prepareTenants } from "./prepare-tenants.ts";
import { Sessions } from "./sessions.ts";
import { WrongKeys } from "./wrong-keys.ts";

export interface AccessTimes {
  keys: Pick<MadeKeysOptions, "rememberMs" | "checkEveryMs">;
  /** Pause between two checks of the keys of open streams. */
  streamKeysEveryMs: number;
}

/** After an end of all sessions, the browsers behind one proxy send this many more tokens than anybody sends wrong keys. */
const tokensPerWrongKey = 10;

interface AccessParts {
  access: Access;
  madeKeys: MadeKeys;
  sessions: Sessions;
  keyWatch: KeyWatch;
  defaultTenant: Tenant;
}

/**
 * Everything that decides who sent a request. Waits for the database, in which the tenants of API_KEYS are created.
 * @param parts.starting ends the waiting
 * @param parts.stopping ends the checks of the keys of open streams
 */
export async function createAccessParts(
  settings: ServiceConfiguration,
  times: AccessTimes,
  {
    database,
    metrics,
    log,
    hasSignInPage,
    starting,
    stopping,
  }: { database: Database; metrics: Metrics; log: Logger; hasSignInPage: () => boolean } & Record<
    "starting" | "stopping",
    AbortSignal
  >,
): Promise<AccessParts> {
  const { defaultTenant, configuredKeys } = await prepareTenants(database, settings, log, starting);
  const madeKeys = new MadeKeys({ keys: database.keys, ...times.keys });
  const sessions = new Sessions({
    ...{ store: database.sessions, configuredKeys, settings: settings.sessions },
    unknownTokens: new WrongKeys({ perMinute: settings.wrongKeysPerMinute * tokensPerWrongKey }),
    rememberMs: times.keys.rememberMs,
  });
  const access = new Access({
    ...{ defaultTenant, configuredKeys, madeKeys, sessions, counter: metrics.wrongKeys },
    isOnLoopback: isLoopback(settings.host),
    hasSignInPage,
    wrongKeys: new WrongKeys({ perMinute: settings.wrongKeysPerMinute }),
  });
  const keyWatch = new KeyWatch({
    findWorking: (credentials) => access.findWorking(credentials),
    ...{ checkEveryMs: times.streamKeysEveryMs, signal: stopping, log },
  });
  return { access, madeKeys, sessions, keyWatch, defaultTenant };
}
