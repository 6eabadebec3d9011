/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for what stands in a report, and its rows as text. Nothing here needs
 * a session.
 */
#ifndef PTEFAULT_ROW_H
#define PTEFAULT_ROW_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/**
 * @brief The name of a PTF_STATE_*, such as "hint".
 * @return a static string, "?" for an unknown one; so the others below
 */
PTF_API const char *ptf_state_name(unsigned int state);

/** @brief The name of a PTF_KIND_*, such as "anon". */
PTF_API const char *ptf_kind_name(unsigned int kind);

/** @brief The name of a PTF_FILEMAP_*, such as "shadow". */
PTF_API const char *ptf_filemap_name(unsigned int state);

/** @brief The name of a PTF_LEVEL_PTE to PTF_LEVEL_PGD, such as "PMD". */
PTF_API const char *ptf_level_name(unsigned int level);

/** @brief The name of an enum ptf_skip, such as "pinned". */
PTF_API const char *ptf_skip_name(unsigned int reason);

/** @brief What an enum ptf_skip means, for people. */
PTF_API const char *ptf_skip_text(unsigned int reason);

/** @brief The errno that an enum ptf_skip stands for, positive. */
PTF_API int ptf_skip_errno(unsigned int reason);

/** @brief The name of a PTF_FAULTED_*, such as "minor". */
PTF_API const char *ptf_faulted_name(unsigned int result);

/**
 * @brief The name of a bit of ptf_row.flags, such as "dirty"; those of the
 *	folio begin with "folio-".
 * @param bit number of the bit, 0 to 63
 * @return a static string, NULL for an unknown one
 */
PTF_API const char *ptf_row_flag_name(unsigned int bit);

/** @brief The name of a bit of ptf_vma.flags, or NULL. */
PTF_API const char *ptf_vma_flag_name(unsigned int bit);

/** @brief The name of a bit of ptf_level.flags, or NULL. */
PTF_API const char *ptf_level_flag_name(unsigned int bit);

/**
 * @brief What an entry leads to, as text: "PA:0x5ea000", "zero page",
 *	"swap 0, slot 0x12", "hint, not present (keeps PA:0x5ea000)" and so on.
 *	What is no frame is never shown as one.
 * @param buf where to; always ends with a NUL if len > 0
 * @param len its size in bytes
 * @return the length that the text has, as snprintf(3)
 */
PTF_API size_t ptf_row_pte_text(const struct ptf_row *row, char *buf,
				size_t len);

/**
 * @brief What the filemap has for a row, as text: "PA:0x2fb000", "evicted",
 *	"in swap", "nothing".
 */
PTF_API size_t ptf_row_filemap_text(const struct ptf_row *row, char *buf,
				    size_t len);

/**
 * @brief What a mapping leads to, as text: "/tmp/foo:0x0 (private)",
 *	"[heap] (private)", "anonymous (private)".
 * @param name its name, "" if it has none
 */
PTF_API size_t ptf_vma_text(const struct ptf_vma *vma, const char *name,
			    char *buf, size_t len);

PTF_END_DECLS

#endif
