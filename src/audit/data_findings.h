// What the scan of the tensors means.
#pragma once

#include "audit/audit.h"

namespace carat {

// Appends findings about report.tensors, lattice and codes.
void add_data_findings(AuditReport& report);

}  // namespace carat
