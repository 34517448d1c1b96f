/** A JSON object of members whose values are JSON texts already. */
export function objectOf(members: readonly (readonly [name: string, value: string])[]): string {
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join()}}`;
}
