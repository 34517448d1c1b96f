/** A store as it is; notes the names of the methods that are called. */
export function counted<Store extends object>(store: Store, names: string[]): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function" || typeof name === "symbol") return value;
      return (...given: unknown[]): unknown => {
        names.push(name);
        return Reflect.apply(value, target, given);
      };
    },
  });
}
