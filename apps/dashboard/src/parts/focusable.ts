/** For the viewport of a part that scrolls, so that it can be reached, and scrolled, by the keyboard. */
export const focusable = (label: string) => ({ tabIndex: 0, role: "region", "aria-label": label }) as const;
