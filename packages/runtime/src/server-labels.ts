/** A label of a server; `isServerLabel` of packages/jobs accepts the same. */
export const labelPattern = /^(?=.{1,64}$)[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?$/;
export const labelsMax = 50;
/** Of one server. */
export const slotsMax = 16;
