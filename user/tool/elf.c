// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a symbol of a running program is: its ELF files read as they are, by
 * somebody who trusts no number in them.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"

/* What both classes have, in the wider one's types. */
struct elf {
	const unsigned char *base;
	size_t size;
	bool wide;		/* 64-bit */
	bool fixed;		/* ET_EXEC: at its own addresses */
	uint64_t phoff, shoff;
	unsigned int phnum, shnum, phentsize, shentsize;
};

static const void *at(const struct elf *e, uint64_t off, uint64_t len)
{
	if (off > e->size || len > e->size - off)
		return NULL;
	return e->base + off;
}

static bool elf_open(struct elf *e, const char *path)
{
	const Elf64_Ehdr *h64;
	const Elf32_Ehdr *h32;
	struct stat st;
	void *map;
	int fd;

	memset(e, 0, sizeof(*e));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < EI_NIDENT) {
		close(fd);
		return false;
	}
	map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return false;
	e->base = map;
	e->size = st.st_size;
	if (memcmp(e->base, ELFMAG, SELFMAG))
		goto unmap;
	e->wide = e->base[EI_CLASS] == ELFCLASS64;
	h64 = at(e, 0, sizeof(*h64));
	h32 = at(e, 0, sizeof(*h32));
	if (e->wide && h64) {
		e->fixed = h64->e_type == ET_EXEC;
		e->phoff = h64->e_phoff;
		e->shoff = h64->e_shoff;
		e->phnum = h64->e_phnum;
		e->shnum = h64->e_shnum;
		e->phentsize = h64->e_phentsize;
		e->shentsize = h64->e_shentsize;
	} else if (!e->wide && h32) {
		e->fixed = h32->e_type == ET_EXEC;
		e->phoff = h32->e_phoff;
		e->shoff = h32->e_shoff;
		e->phnum = h32->e_phnum;
		e->shnum = h32->e_shnum;
		e->phentsize = h32->e_phentsize;
		e->shentsize = h32->e_shentsize;
	} else {
		goto unmap;
	}
	return true;
unmap:
	munmap(map, e->size);
	return false;
}

static void elf_close(struct elf *e)
{
	munmap((void *)e->base, e->size);
}

static bool program_header(const struct elf *e, unsigned int i, Elf64_Phdr *out)
{
	const Elf32_Phdr *p32;
	const Elf64_Phdr *p64;

	if (e->wide) {
		p64 = at(e, e->phoff + (uint64_t)i * e->phentsize, sizeof(*p64));
		if (!p64)
			return false;
		memcpy(out, p64, sizeof(*out));
		return true;
	}
	p32 = at(e, e->phoff + (uint64_t)i * e->phentsize, sizeof(*p32));
	if (!p32)
		return false;
	*out = (Elf64_Phdr){
		.p_type = p32->p_type,
		.p_offset = p32->p_offset,
		.p_vaddr = p32->p_vaddr,
		.p_filesz = p32->p_filesz,
		.p_memsz = p32->p_memsz,
	};
	return true;
}

static bool section_header(const struct elf *e, unsigned int i, Elf64_Shdr *out)
{
	const Elf32_Shdr *s32;
	const Elf64_Shdr *s64;

	if (e->wide) {
		s64 = at(e, e->shoff + (uint64_t)i * e->shentsize, sizeof(*s64));
		if (!s64)
			return false;
		memcpy(out, s64, sizeof(*out));
		return true;
	}
	s32 = at(e, e->shoff + (uint64_t)i * e->shentsize, sizeof(*s32));
	if (!s32)
		return false;
	*out = (Elf64_Shdr){
		.sh_type = s32->sh_type,
		.sh_offset = s32->sh_offset,
		.sh_size = s32->sh_size,
		.sh_link = s32->sh_link,
	};
	return true;
}

/* By how much the addresses in the file and in the process differ. */
static bool bias(const struct elf *e, uint64_t start, uint64_t offset,
		 uint64_t *out)
{
	uint64_t mask = ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
	Elf64_Phdr ph;

	*out = 0;
	if (e->fixed)
		return true;
	for (unsigned int i = 0; i < e->phnum; i++) {
		if (!program_header(e, i, &ph))
			return false;
		if (ph.p_type != PT_LOAD || (ph.p_offset & mask) != offset)
			continue;
		*out = start - (ph.p_vaddr & mask);
		return true;
	}
	return false;
}

static void take(uint64_t value, uint64_t *out, size_t max, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		if (out[i] == value)
			return;
	if (*n < max)
		out[(*n)++] = value;
}

static void look_in(const struct elf *e, const Elf64_Shdr *table,
		    const char *name, uint64_t shift, uint64_t *out, size_t max,
		    size_t *n)
{
	size_t each = e->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	size_t len = strlen(name) + 1;
	const unsigned char *syms, *strings;
	uint64_t value, name_off;
	unsigned int type, where;
	Elf64_Shdr strtab;

	if (!section_header(e, table->sh_link, &strtab))
		return;
	syms = at(e, table->sh_offset, table->sh_size);
	strings = at(e, strtab.sh_offset, strtab.sh_size);
	if (!syms || !strings)
		return;
	for (uint64_t i = 0; i < table->sh_size / each; i++) {
		if (e->wide) {
			Elf64_Sym s;

			memcpy(&s, syms + i * each, sizeof(s));
			name_off = s.st_name;
			value = s.st_value;
			type = ELF64_ST_TYPE(s.st_info);
			where = s.st_shndx;
		} else {
			Elf32_Sym s;

			memcpy(&s, syms + i * each, sizeof(s));
			name_off = s.st_name;
			value = s.st_value;
			type = ELF32_ST_TYPE(s.st_info);
			where = s.st_shndx;
		}
		/* An IFUNC's address is that of its resolver. */
		if (where == SHN_UNDEF || where == SHN_ABS || !value ||
		    (type != STT_FUNC && type != STT_NOTYPE))
			continue;
		if (name_off >= strtab.sh_size ||
		    strtab.sh_size - name_off < len ||
		    memcmp(strings + name_off, name, len))
			continue;
		take(value + shift, out, max, n);
	}
}

/* A file as the process has it mapped, also if it has no name any more. */
static bool open_mapped(struct elf *e, pid_t pid,
			const struct ptf_vma_entry *vma)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid,
		 (unsigned long long)vma->start, (unsigned long long)vma->end);
	return elf_open(e, path) || elf_open(e, vma->name);
}

static size_t search(pid_t pid, const struct ptf_vma_entry *vma,
		     const char *name, uint64_t *out, size_t max, bool *wide)
{
	uint64_t shift;
	size_t n = 0;
	struct elf e;

	if (!open_mapped(&e, pid, vma))
		return 0;
	*wide = e.wide;
	if (bias(&e, vma->start, vma->offset, &shift)) {
		for (unsigned int i = 0; i < e.shnum; i++) {
			Elf64_Shdr sh;

			if (!section_header(&e, i, &sh))
				break;
			if (sh.sh_type == SHT_SYMTAB ||
			    sh.sh_type == SHT_DYNSYM)
				look_in(&e, &sh, name, shift, out, max, &n);
		}
	}
	elf_close(&e);
	return n;
}

/* The program itself comes first in the order of looking. */
static bool is_program(pid_t pid, const struct ptf_vma_entry *vma)
{
	static const char gone[] = " (deleted)";
	char link[64], name[4096];
	size_t cut = strlen(gone);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, name, sizeof(name) - 1);
	if (n < 0)
		return false;
	name[n] = 0;
	if ((size_t)n > cut && !strcmp(name + n - cut, gone))
		name[n - cut] = 0;
	return !strcmp(name, vma->name);
}

size_t elf_find(pid_t pid, const char *name, enum elf_where where,
		uint64_t *out, size_t max, bool *wide)
{
	struct ptf_vma_list *list;
	uint64_t last_inode = 0;
	size_t n = 0;

	if (ptf_vma_list_create(pid, &list))
		return 0;
	for (int libs = where == ELF_LIBRARIES;
	     !n && libs <= (where != ELF_PROGRAM); libs++) {
		last_inode = 0;
		for (size_t i = 0; !n && i < ptf_vma_list_count(list); i++) {
			const struct ptf_vma_entry *v = ptf_vma_list_at(list, i);

			/* Once for each file: its first mapping. */
			if (!v->inode || v->inode == last_inode)
				continue;
			last_inode = v->inode;
			if (is_program(pid, v) == !libs)
				n = search(pid, v, name, out, max, wide);
		}
	}
	ptf_vma_list_destroy(list);
	return n;
}

bool elf_entry(pid_t pid, uint64_t *out)
{
	unsigned char buf[2048];
	char path[64];
	struct elf e;
	ssize_t n;
	bool wide;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (!elf_open(&e, path))
		return false;
	wide = e.wide;
	elf_close(&e);
	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	for (ssize_t i = 0; wide && i + (ssize_t)sizeof(Elf64_auxv_t) <= n;
	     i += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t a;

		memcpy(&a, buf + i, sizeof(a));
		if (a.a_type == AT_ENTRY) {
			*out = a.a_un.a_val;
			return true;
		}
	}
	for (ssize_t i = 0; !wide && i + (ssize_t)sizeof(Elf32_auxv_t) <= n;
	     i += sizeof(Elf32_auxv_t)) {
		Elf32_auxv_t a;

		memcpy(&a, buf + i, sizeof(a));
		if (a.a_type == AT_ENTRY) {
			*out = a.a_un.a_val;
			return true;
		}
	}
	return false;
}
