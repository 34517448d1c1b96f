import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { EmptyState } from "../parts/empty-state.tsx";

export function NotFound(): ReactNode {
  return (
    <EmptyState title="There is nothing at this address">
      <Button renderRoot={(props) => <Link to="/" {...props} />}>To the overview</Button>
    </EmptyState>
  );
}
