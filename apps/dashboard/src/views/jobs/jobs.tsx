import { Stack, Title } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { JobFilters } from "./job-filters.tsx";
import { JobTable } from "./job-table.tsx";

const route = getRouteApi("/frame/jobs");

export function Jobs(): ReactNode {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Stack>
      <Title order={2}>Jobs</Title>
      <JobFilters
        search={search}
        onChange={(chosen) => {
          void navigate({ search: chosen, replace: true, resetScroll: true });
        }}
      />
      {/* Of another choice nothing is kept, neither what was chosen in it nor the place. */}
      <JobTable key={JSON.stringify(search)} search={search} />
    </Stack>
  );
}
