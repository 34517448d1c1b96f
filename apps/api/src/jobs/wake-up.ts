/** Lets one loop rest until it is woken. What is heard while it does not rest, it must see by itself before it rests. */
export class WakeUp {
  #end: (isWoken: boolean) => void = () => undefined;

  /** Ends the rest, if there is one. */
  wake(): void {
    this.#end(true);
  }

  /** @returns true when it was woken, false when the time is up or the signal was aborted */
  async rest(ms: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    return await new Promise<boolean>((resolve) => {
      const end = (isWoken: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", giveUp);
        resolve(isWoken);
      };
      const giveUp = (): void => {
        end(false);
      };
      const timer = setTimeout(giveUp, Math.max(1, ms));
      signal.addEventListener("abort", giveUp, { once: true });
      this.#end = end;
    });
  }
}
