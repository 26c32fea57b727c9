/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unmaps the pages of the program and its libraries that hold code and constants as they are in the files: what is needed again is mapped again from the page cache, a minor fault for each 64 KB. Data and whatever linking has written stay.
 * For the end of something that touched much and does not come again soon. */
void pages_give_back(void);
